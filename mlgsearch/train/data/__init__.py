"""The data sets: loaded, split, augmented, batched."""

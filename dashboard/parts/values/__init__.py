"""A trial's values as pages write them."""

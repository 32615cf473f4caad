"""The search spaces: what may be chosen for each layer, and what is known before training."""

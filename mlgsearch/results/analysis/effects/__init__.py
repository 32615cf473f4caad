"""Which layers and hyperparameters matter."""

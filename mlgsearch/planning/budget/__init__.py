"""Settings for a whole network that keep a budget."""

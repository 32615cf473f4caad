"""The networks by name, and their fit to small images."""

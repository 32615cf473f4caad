"""Checkpoints and packed files: stored, limited in size, exported."""

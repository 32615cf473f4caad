"""Parallel coordinates: a line per trial across axes that are side by side."""

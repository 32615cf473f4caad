"""Parallel coordinates: a line per trial across axes that stand side by side."""

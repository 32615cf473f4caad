"""Compressed layers as they compute: on their factors, or on generated weights."""

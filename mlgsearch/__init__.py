"""Search per-layer multi-level generation (MLG) settings for small networks."""

__version__ = "0.1.0"

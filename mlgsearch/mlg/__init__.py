"""The mathematics of multi-level generation; torch only."""

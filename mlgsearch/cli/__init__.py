"""The command line: `search.py`, installed as `mlgsearch`."""

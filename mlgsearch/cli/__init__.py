"""The command line: `search.py`, installed as `mlgsearch`."""

from mlgsearch.cli.app import main

__all__ = ["main"]

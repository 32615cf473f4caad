"""`python -m mlgsearch`: the command line."""

import sys
from pathlib import Path

# `python -m` puts the working folder first, where a file `queue.py` would replace the standard
# library's. In a checkout that folder is where this package was found.
if not sys.flags.safe_path and Path(sys.path[0]).resolve() != Path(__file__).resolve().parents[1]:
    del sys.path[0]

from mlgsearch.cli import main

if __name__ == "__main__":
    main()

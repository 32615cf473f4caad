"""Where code of one's own is looked for, which a study or a command names as module:callable."""

import sys
from pathlib import Path


def add_code_folder(folder: str | Path) -> None:
    """Let imports find modules in a folder, behind all others.

    First in the path, a file `queue.py` there would stand for the standard library's.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

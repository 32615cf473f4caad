"""How much a folder takes of the disk."""

import os
from pathlib import Path


def bytes_in(folder: Path) -> int:
    """Add up the files in a folder and below; what disappears meanwhile counts nothing."""
    total = 0
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return 0
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            total += bytes_in(Path(entry.path))
        else:
            try:
                total += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
    return total

"""What a worker tells of an error that it did not expect, and what it lets go of with it."""

import errno
import logging
import traceback
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

#: What the system says where there is no room: not the trial's fault, so no reason to fail it.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Failure:
    """One line that names the error and where it was raised; and whether a full disk is why."""

    text: str
    is_disk_full: bool


def take_failure(what: str, error: Exception) -> Failure:
    """Log an error that a model or a loader raised, and free what its frames hold.

    Args:
        what: was trained, for the log.
        error: as it was caught; its traceback is empty of variables afterwards.
    """
    try:
        return _take(what, error)
    except RuntimeError as second:
        # Where a process of torch's DataLoader dies its signal handler raises once, wherever we
        # are just then.
        return _take(what, second)


def _take(what: str, error: Exception) -> Failure:
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
    logger.warning("%s: %s", what, text, exc_info=error)
    # The frames hold the tensors that a training out of memory must give back.
    traceback.clear_frames(error.__traceback__)
    return Failure(text, isinstance(error, OSError) and error.errno in _NO_ROOM)

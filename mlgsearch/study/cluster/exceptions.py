"""What a worker reports of an unexpected error, and what it releases with it."""

import errno
import logging
import re
import traceback
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

#: What the system says where there is no room: not the trial's fault, so no reason to fail it.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
#: Ray's colours, its words before a failure, and before what it knows of a process's end.
_COLOUR, _HEADING, _DETAIL = re.compile(r"\x1b\[[0-9;]*m"), "Failure # ", "Worker exit detail:"
#: Ray's word where its memory monitor ended a worker, and where it only guesses how one ended.
_MONITOR, _GUESS = "low on memory", "common causes"
_LESS_MEMORY = (
    "run fewer trials at once (--max-parallel, or a larger resources.cpu), or a smaller "
    "training.batch_size"
)
#: The most characters that are kept of a reason.
_MOST_REASON = 500


@dataclass(frozen=True)
class Failure:
    """One line that names the error and where it was raised; and whether a full disk is why."""

    text: str
    is_disk_full: bool


def death_reason(said: str) -> str:
    """Return in a line why a worker died, of all that Ray says of it.

    That is the last line of a traceback, where the worker could not begin for an error, or else
    what the system knows of its end. What to set for memory is added where that ran out, or may
    have: of a process that is gone Ray does not know whether a signal or a crash ended it.
    """
    lines = [_COLOUR.sub("", line).strip() for line in said.splitlines()]
    lines = [line for line in lines if line and not line.startswith(_HEADING)]
    if not lines:
        return "Ray does not say why"
    if any(line.startswith('File "') for line in lines):
        reason = lines[-1]
    elif _MONITOR in said:
        return f"Ray ended it, for the machine or its container ran out of memory: {_LESS_MEMORY}"
    elif _GUESS in said:
        return (
            "its process was killed from outside, most often by the kernel for want of memory, or "
            "it crashed, as native code does (SIGSEGV); where the kernel's log (dmesg) names it, "
            f"{_LESS_MEMORY}"
        )
    else:
        detail = next((line for line in lines if _DETAIL in line), None)
        reason = lines[0] if detail is None else detail.partition(_DETAIL)[2].strip()
    return reason if len(reason) <= _MOST_REASON else f"{reason[:_MOST_REASON]}..."


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

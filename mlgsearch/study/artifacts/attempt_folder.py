"""Where the attempts at a trial keep their checkpoints, so that a late one disturbs none.

A trial's folder holds ``attempt-0001`` or a later one. Whoever begins an attempt renames the folder
of the last to its own: in one step it has all that was done before, and what a worker of the
earlier attempt still writes (one behind a cut network, or stopped for a while) is ignored.
"""

import re
import shutil
from pathlib import Path

from mlgsearch.errors import MlgsearchError
from mlgsearch.paths import make_private

#: A folder of an attempt.
ATTEMPT = re.compile(r"attempt-(\d{4,})")


class LateAttemptError(MlgsearchError):
    """The trial went to another worker meanwhile."""


def claim_attempt(trial: Path, attempt: int) -> Path:
    """Return the folder of an attempt at the trial in folder ``trial``, with what was done before.

    Raises:
        LateAttemptError: a later attempt has begun.
    """
    make_private(trial)
    own = trial / f"attempt-{attempt:04d}"
    last = _last(trial)
    while last is None or last[0] < attempt:
        try:
            if last is None:
                own.mkdir(mode=0o700)
            else:
                last[1].rename(own)
        except (FileNotFoundError, FileExistsError):
            last = _last(trial)  # another claimed it at the same moment
            continue
        # Checkpoints of before there were attempts.
        for path in trial.glob("*.safetensors"):
            path.replace(own / path.name)
        for number, path in _attempts(trial):
            if number < attempt:  # made by a late worker, and never read
                shutil.rmtree(path, ignore_errors=True)
        last = attempt, own
    if last[0] > attempt:
        raise LateAttemptError(f"attempt {attempt} comes late: attempt {last[0]} has begun")
    return own


def last_attempt(trial: Path) -> Path:
    """Return the folder with a trial's last checkpoints."""
    last = _last(trial)
    return trial if last is None else last[1]


def _last(trial: Path) -> tuple[int, Path] | None:
    return max(_attempts(trial), default=None)


def _attempts(trial: Path) -> list[tuple[int, Path]]:
    found = ((ATTEMPT.fullmatch(path.name), path) for path in trial.glob("attempt-*"))
    return [(int(match[1]), path) for match, path in found if match]

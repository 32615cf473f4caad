"""Where things lie on disk: the cache that studies share, and a study's own folder."""

import hashlib
import os
import re
from pathlib import Path

from sqlalchemy.engine import make_url

from mlgsearch.errors import DataError
from mlgsearch.records import StudyRecord
from mlgsearch.results.storage_url import storage_url


def cache_directory() -> Path:
    """Give the folder of prepared data, teachers and logits.

    ``MLGSEARCH_CACHE``, else ``mlgsearch`` under ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    if os.environ.get("MLGSEARCH_CACHE"):
        return Path(os.environ["MLGSEARCH_CACHE"]).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "mlgsearch"


def runs_directory(storage: str) -> Path:
    """Give the folder of all studies' checkpoints; ``storage`` is a URL or ``@FILE``.

    ``MLGSEARCH_RUNS``, else beside an SQLite file ``<file>.runs``, else ``mlgsearch-runs`` here.
    """
    if os.environ.get("MLGSEARCH_RUNS"):
        return Path(os.environ["MLGSEARCH_RUNS"]).expanduser().absolute()
    url = make_url(storage_url(storage))
    if url.get_backend_name() == "sqlite" and url.database:
        return Path(f"{url.database}.runs").absolute()
    return Path("mlgsearch-runs").absolute()


def study_directory(runs: Path, record: StudyRecord) -> Path:
    """Give a study's own folder; a study deleted and made anew gets another one.

    Raises:
        DataError: it is a link that leads out of ``runs``.
    """
    assert record.created_at is not None
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", record.name)[:40].strip("-") or "study"
    identity = f"{record.name}\n{record.created_at.timestamp()}"
    return _inside(runs, f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}")


def trial_directory(study: Path, number: int) -> Path:
    """Give one trial's folder: its checkpoints and its log of events.

    Raises:
        DataError: it is a link that leads out of the study's folder.
    """
    return _inside(study, f"{number:06d}")


def make_private(directory: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone (mode 0700)."""
    for folder in (*reversed(directory.parents), directory):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def _inside(root: Path, name: str) -> Path:
    path = root / name
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        raise DataError(
            f"{path} is a link that leads out of {root}, so it is not used: put the folder itself "
            "there, or let MLGSEARCH_RUNS name another place for all studies"
        )
    return path

"""Where things lie on disk: the cache that studies share, and a study's own folder."""

import hashlib
import os
import re
from pathlib import Path

from sqlalchemy.engine import make_url

from mlgsearch.records import StudyRecord


def cache_directory() -> Path:
    """Give the folder of prepared data, teachers and logits.

    ``MLGSEARCH_CACHE``, else ``mlgsearch`` under ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    if os.environ.get("MLGSEARCH_CACHE"):
        return Path(os.environ["MLGSEARCH_CACHE"]).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "mlgsearch"


def runs_directory(storage_url: str) -> Path:
    """Give the folder of all studies' checkpoints.

    ``MLGSEARCH_RUNS``, else beside an SQLite file ``<file>.runs``, else ``mlgsearch-runs`` here.
    """
    if os.environ.get("MLGSEARCH_RUNS"):
        return Path(os.environ["MLGSEARCH_RUNS"]).expanduser().absolute()
    url = make_url(storage_url)
    if url.get_backend_name() == "sqlite" and url.database:
        return Path(f"{url.database}.runs").absolute()
    return Path("mlgsearch-runs").absolute()


def study_directory(runs: Path, record: StudyRecord) -> Path:
    """Give a study's own folder; a study deleted and made anew gets another one."""
    assert record.created_at is not None
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", record.name)[:40].strip("-") or "study"
    identity = f"{record.name}\n{record.created_at.timestamp()}"
    return runs / f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def trial_directory(study: Path, number: int) -> Path:
    """Give one trial's folder: its checkpoints and its log of events."""
    return study / f"{number:06d}"

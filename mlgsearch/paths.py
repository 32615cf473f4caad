"""Where things lie on disk: the cache that studies share, and a study's own folder."""

import hashlib
import os
import re
from pathlib import Path

from sqlalchemy.engine import make_url

from mlgsearch.errors import DataError, UserError
from mlgsearch.records import StudyRecord
from mlgsearch.results.database.connection.storage_url import storage_url
from mlgsearch.writable_place import check_cache, check_place


def cache_directory() -> Path:
    """Return the folder of prepared data, teachers and logits.

    ``MLGSEARCH_CACHE``, else ``mlgsearch`` under ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    if os.environ.get("MLGSEARCH_CACHE"):
        return _expanded(os.environ["MLGSEARCH_CACHE"], "MLGSEARCH_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _expanded(base, "MLGSEARCH_CACHE") / "mlgsearch"


def runs_directory(storage: str) -> Path:
    """Return the folder of all studies' checkpoints; ``storage`` is a URL or ``@FILE``.

    ``MLGSEARCH_RUNS``, else beside an SQLite file ``<file>.runs``, else ``mlgsearch-runs`` here.

    Raises:
        UserError: it is there and belongs to somebody else.
    """
    if os.environ.get("MLGSEARCH_RUNS"):
        return _trusted(_expanded(os.environ["MLGSEARCH_RUNS"], "MLGSEARCH_RUNS"))
    url = make_url(storage_url(storage))
    if url.get_backend_name() == "sqlite" and url.database:
        return _trusted(Path(f"{url.database}.runs").absolute())
    return _trusted(Path("mlgsearch-runs").absolute())


def _trusted(folder: Path) -> Path:
    """Return a folder that no other user has put there, be it one of theirs or a link.

    Its owner is to be this user or root, or whoever owns the folder that it lies in, and so could
    do with it what they like.

    Raises:
        UserError: it belongs to somebody else.
    """
    try:
        trusted = {0, os.geteuid(), folder.parent.stat().st_uid}
        owners = [folder.lstat().st_uid, folder.stat().st_uid]
    except OSError:  # there is none yet, or a link to nowhere, which is found when it is written
        return folder
    strangers = [uid for uid in owners if uid not in trusted]
    if strangers:
        what = "is a link that leads to, or was made by," if folder.is_symlink() else "belongs to"
        raise UserError(
            f"{folder} {what} another user of this machine (uid {strangers[0]}), who could change "
            "what is kept there: let MLGSEARCH_RUNS name a folder of yours"
        )
    return folder


def check_places(cache: Path, runs: Path) -> None:
    """See that what a driver writes has a place, before it begins anything long.

    A cache that is there may be read only, if it holds all that is needed.

    Raises:
        UserError: it has none.
    """
    if not cache.is_dir():
        check_cache(cache)
    check_place(runs, "MLGSEARCH_RUNS")


def _expanded(path: str, variable: str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:  # a user that the system does not know, as in some containers
        raise UserError(
            f"{path}: this user has no home; let {variable} name a folder in full"
        ) from None


def study_directory(runs: Path, record: StudyRecord) -> Path:
    """Return a study's own folder; a study deleted and made anew gets another one.

    Raises:
        DataError: it is a link that leads out of ``runs``.
    """
    assert record.created_at is not None
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", record.name)[:40].strip("-") or "study"
    identity = f"{record.name}\n{record.created_at.timestamp()}"
    return _inside(runs, f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}")


def trial_directory(study: Path, number: int) -> Path:
    """Return one trial's folder: its checkpoints and its log of events.

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

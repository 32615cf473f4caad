"""Where a study's checkpoints and artifacts are: in its folder here, or where its file says."""

from pathlib import Path
from urllib.parse import urlsplit

from mlgsearch.paths import study_directory
from mlgsearch.records import StudyRecord


def is_url(place: str) -> bool:
    """Whether a place is a store's URL, and not a folder."""
    return "://" in place


def checked_artifact_path(text: str) -> str:
    """Return an artifact path that may be in a study file, which the database keeps.

    Raises:
        ValueError: it holds a secret, or names more than one file system.
    """
    if not is_url(text):
        return text
    parts = urlsplit(text)
    if parts.password is not None or parts.query:
        raise ValueError(
            "a study file is kept in the database, so write no password or token into it: let "
            "the environment of every node hold that, or ~/.config/fsspec"
        )
    if "::" in text:
        raise ValueError(f"{text!r} chains file systems: write one URL, as s3://bucket/folder")
    return text


def artifact_place(study: StudyRecord, runs: Path) -> str:
    """Return the folder or the URL of all that a study's workers make.

    Args:
        study: as it is stored; ``resources.artifact_path`` of its content says where.
        runs: the folder of all studies on this machine, for one whose content says nothing.

    Raises:
        ValueError: its artifact path may not be in a study file.
        DataError: its folder is a link that leads elsewhere.
    """
    resources = study.content.get("resources")
    asked = resources.get("artifact_path") if isinstance(resources, dict) else None
    if not isinstance(asked, str):
        return str(study_directory(runs, study))
    if is_url(checked_artifact_path(asked)):
        return f"{asked.rstrip('/')}/{study_directory(runs, study).name}"
    return str(study_directory(Path(asked), study))

"""What a study's workers make, and how it reaches others: checkpoints, packed files, logs.

A folder that all workers see needs nothing but names. A store that is reached by its URL is worked
for in a folder of the worker's own, which is published after each epoch.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlgsearch.errors import StudyFileError
from mlgsearch.paths import trial_directory
from mlgsearch.records import StudyRecord
from mlgsearch.study.artifacts.attempt_folder import claim_attempt, last_attempt
from mlgsearch.study.artifacts.remote import RemoteArtifacts
from mlgsearch.study.file.artifact_path import artifact_place, is_url


class Work(Protocol):
    """A folder that one worker works in."""

    @property
    def path(self) -> Path:
        """The folder, with what was done before."""

    @property
    def log_folder(self) -> Path:
        """Where its log of events lies; may be the same."""

    def publish(self) -> None:
        """Make visible to others what the folder holds now, and only that.

        Raises:
            ArtifactsAwayError: the store does not take it.
        """

    def close(self) -> None:
        """Work here no more; what was not published is lost."""


class Artifacts(Protocol):
    """All artifacts of one study, by number of the trial."""

    @property
    def place(self) -> str:
        """The folder or URL, for messages."""

    def prepare(self) -> None:
        """See that there is a place to write to.

        Raises:
            ArtifactsAwayError: there is none.
        """

    def begin(self, trial: int, attempt: int) -> Work:
        """Take a trial over from all earlier attempts, with what they had done.

        Raises:
            LateAttemptError: a later attempt has begun.
            ArtifactsAwayError: the store does not answer.
        """

    def beside(self, trial: int, name: str, attempt: int) -> Work:
        """Take over another training of a trial's student, such as one of `verify`, as `begin`."""

    @contextmanager
    def last(self, trial: int) -> Iterator[Path]:
        """Lend a folder with a trial's last checkpoints, to read."""

    def bytes_used(self) -> int:
        """Add up all files."""

    def delete(self) -> None:
        """Delete all of them for good."""


@dataclass(frozen=True)
class FolderWork:
    """A folder of a folder that others see: what is written there is published."""

    path: Path
    log_folder: Path

    def publish(self) -> None:
        """No-op: files written here are already visible."""

    def close(self) -> None:
        """No-op: the folder stays."""


class FolderArtifacts:
    """A folder on this machine's disk, or on one that all nodes share."""

    def __init__(self, folder: Path):
        self._folder = folder

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._folder)

    def prepare(self) -> None:
        """No-op: folders are made as they are needed."""

    def begin(self, trial: int, attempt: int) -> FolderWork:
        """Take a trial over; see `claim_attempt`."""
        folder = trial_directory(self._folder, trial)
        return FolderWork(claim_attempt(folder, attempt), folder)

    def beside(self, trial: int, name: str, attempt: int) -> FolderWork:
        """Take over what is in ``name`` of a trial's folder."""
        folder = trial_directory(self._folder, trial) / name
        return FolderWork(claim_attempt(folder, attempt), folder)

    @contextmanager
    def last(self, trial: int) -> Iterator[Path]:
        """Lend the folder of the last attempt."""
        yield last_attempt(trial_directory(self._folder, trial))

    def bytes_used(self) -> int:
        """Add up all files; what disappears meanwhile counts nothing."""
        return bytes_in(self._folder)

    def delete(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def open_artifacts(place: str) -> Artifacts:
    """Open what `artifact_place` gave.

    Raises:
        ArtifactsAwayError: no such store is known here.
    """
    return RemoteArtifacts(place) if is_url(place) else FolderArtifacts(Path(place))


def artifacts_of(study: StudyRecord, runs: Path) -> Artifacts:
    """Open the artifacts of a study as it is stored; see `artifact_place`.

    Raises:
        StudyFileError: its artifact path cannot be used.
        ArtifactsAwayError: no such store is known here.
    """
    try:
        return open_artifacts(artifact_place(study, runs))
    except ValueError as error:
        where = f"study {study.name!r}: resources.artifact_path"
        raise StudyFileError(f"{where}: {error}") from None


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

"""A study's artifacts in a store that fsspec reaches by its URL.

Nothing can be renamed as a whole there, so whoever begins an attempt copies what the last one left
into a folder of the attempt's own, and then marks that as begun. Only the last that is marked is
read: what a worker of an earlier attempt still writes is ignored. A file is sent under another name
and then renamed; a checkpoint also holds its own SHA-256, which is checked when it is read.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from uuid import uuid4

from fsspec.core import url_to_fs

from mlgsearch.errors import ArtifactsAwayError
from mlgsearch.study.artifacts.attempt_folder import ATTEMPT, LateAttemptError

logger = logging.getLogger(__name__)

#: In the folder of an attempt that has all of what was done before it.
_BEGUN = "begun"
#: Between one try and the next, where the store does not answer.
_WAITS_S = (0.5, 1.0, 2.0, 4.0)

T = TypeVar("T")


class RemoteWork:
    """A folder of this worker's own, and the one in the store that it is published to."""

    def __init__(self, store: "RemoteArtifacts", folder: str):
        self._store = store
        self._folder = folder
        self._known: dict[str, tuple[int, int]] = {}  # what the store has: size, modified (ns)
        self.path = Path(tempfile.mkdtemp(prefix="mlgsearch-work-"))

    @property
    def log_folder(self) -> Path:
        """The same, so that the log is published too."""
        return self.path

    def take(self, folder: str) -> None:
        """Fetch what a folder in the store holds."""
        for name in self._store.names(folder):
            # Else its worker still lives, and has a newer one.
            if self._store.fetch(f"{folder}/{name}", self.path / name) and folder == self._folder:
                self._known[name] = _version(self.path / name)

    def publish(self) -> None:
        """Send what is new or changed, then delete what is gone."""
        paths = [path for path in self.path.iterdir() if not path.name.startswith(".")]
        here = {path.name: _version(path) for path in paths}
        for name in sorted(here):
            if self._known.get(name) != here[name]:
                self._store.send(self.path / name, f"{self._folder}/{name}")
                self._known[name] = here[name]
        for name in self._known.keys() - here.keys():
            self._store.remove(f"{self._folder}/{name}")
            del self._known[name]

    def close(self) -> None:
        """Delete the worker's own folder."""
        shutil.rmtree(self.path, ignore_errors=True)


class RemoteArtifacts:
    """A folder in a store: ``s3://``, ``gs://``, ``abfs://``, ``sftp://``, ``file://`` and others.

    Args:
        url: of the study's own folder.

    Raises:
        ArtifactsAwayError: the URL's kind is unknown, or needs a package that is not installed.
    """

    def __init__(self, url: str):
        self.place = url
        try:
            # Others write there too, so no listing may be an old one.
            self._fs, root = url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError, TypeError, OSError) as error:
            raise ArtifactsAwayError(
                f"resources.artifact_path: {url} cannot be opened: {error}; its package must be "
                "installed on every node"
            ) from error
        self._root = str(root)

    def prepare(self) -> None:
        """Write a file and delete it; not tried again, for it shows what is wrong at once."""
        probe = f"{self._root}/.{uuid4().hex}"

        def write() -> None:
            self._fs.makedirs(self._root, exist_ok=True)
            self._fs.pipe_file(probe, b"is it writable?")
            self._fs.rm_file(probe)

        self._try("writing", write, is_patient=False)

    def begin(self, trial: int, attempt: int) -> RemoteWork:
        """Take a trial over, with what its last attempt left."""
        return self._begin(f"{self._root}/{trial:06d}", attempt)

    def beside(self, trial: int, name: str, attempt: int) -> RemoteWork:
        """Take over what is in ``name`` of a trial's folder."""
        return self._begin(f"{self._root}/{trial:06d}/{name}", attempt)

    def _begin(self, folder: str, attempt: int) -> RemoteWork:
        attempts = self._attempts(folder)
        last = max(attempts, default=0)
        if last > attempt:
            raise LateAttemptError(f"attempt {attempt} comes late: attempt {last} has begun")
        own = f"{folder}/attempt-{attempt:04d}"
        work = RemoteWork(self, own)
        if last:
            work.take(attempts[last])
        work.publish()
        self._try("writing", lambda: self._fs.makedirs(own, exist_ok=True))
        self._try("writing", lambda: self._fs.pipe_file(f"{own}/{_BEGUN}", b"all is here\n"))
        for number, earlier in attempts.items():
            if number < attempt:
                self.remove(earlier, recursive=True)
        return work

    @contextmanager
    def last(self, trial: int) -> Iterator[Path]:
        """Lend a copy of the folder of the last attempt."""
        attempts = self._attempts(f"{self._root}/{trial:06d}")
        work = RemoteWork(self, "")
        try:
            if attempts:
                work.take(attempts[max(attempts)])
            yield work.path
        finally:
            work.close()

    def bytes_used(self) -> int:
        """Add up all files."""
        try:
            return int(self._try("counting", lambda: self._fs.du(self._root, total=True)))
        except FileNotFoundError:
            return 0

    def delete(self) -> None:
        """Delete the study's folder."""
        self.remove(self._root, recursive=True)

    def names(self, folder: str) -> list[str]:
        """List the files of a folder that are whole, oldest name first; none where it is not."""
        return sorted(
            PurePosixPath(entry["name"]).name
            for entry in self._list(folder)
            if entry["type"] == "file" and PurePosixPath(entry["name"]).name != _BEGUN
            if not PurePosixPath(entry["name"]).name.startswith(".")
        )

    def fetch(self, name: str, path: Path) -> bool:
        """Copy a file from the store; return whether it was there."""
        try:
            self._try("reading", lambda: self._fs.get_file(name, str(path)))
        except FileNotFoundError:
            return False
        return True

    def send(self, path: Path, name: str) -> None:
        """Copy a file to the store, where it appears whole or not at all."""
        folder, _, last = name.rpartition("/")
        temporary = f"{folder}/.{last}.{uuid4().hex[:8]}"

        def put() -> None:
            self._fs.makedirs(folder, exist_ok=True)
            self._fs.put_file(str(path), temporary)
            self._fs.mv(temporary, name)

        self._try("writing", put)

    def remove(self, name: str, *, recursive: bool = False) -> None:
        """Delete a file, or a folder, that may not be there."""
        try:
            self._try("deleting", lambda: self._fs.rm(name, recursive=recursive))
        except FileNotFoundError:
            logger.debug("%s is gone already", name)

    def _attempts(self, folder: str) -> dict[int, str]:
        """Return the folders of a trial's attempts that have begun, by number."""
        found = {}
        for entry in self._list(folder):
            path = PurePosixPath(entry["name"])
            match = ATTEMPT.fullmatch(path.name)
            if match and any(
                PurePosixPath(e["name"]).name == _BEGUN for e in self._list(str(path))
            ):
                found[int(match[1])] = str(path)
        return found

    def _list(self, folder: str) -> list[dict[str, Any]]:
        try:
            entries: list[dict[str, Any]] = self._try(
                "listing", lambda: self._fs.ls(folder, detail=True)
            )
        except FileNotFoundError:
            return []
        return entries

    def _try(self, what: str, act: Callable[[], T], *, is_patient: bool = True) -> T:
        """Do something with the store, several times where it does not answer.

        Raises:
            FileNotFoundError: what is asked for is not there.
            ArtifactsAwayError: it does not answer, or refuses.
        """
        for wait_s in (*(_WAITS_S if is_patient else ()), None):
            try:
                return act()
            except Exception as error:  # every store has errors of its own
                if isinstance(error, FileNotFoundError) and what != "writing":
                    raise
                if wait_s is None:
                    raise ArtifactsAwayError(
                        f"resources.artifact_path: {what} failed at {self.place}: "
                        f"{type(error).__name__}: {error}"
                    ) from error
                logger.warning(
                    "%s failed at %s, again in %s s: %s", what, self.place, wait_s, error
                )
                time.sleep(wait_s)
        raise AssertionError("the last wait is None")


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns

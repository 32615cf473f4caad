"""A disk that is full from the n-th step of writing on."""

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class FullDisk:
    """Counts steps of writing: a folder or a file made, bytes brought to the disk, a name changed.

    ``is_full`` reports whether a step has found no room.
    """

    def __init__(self, failing: int):
        self._failing = failing
        self._steps = 0
        self.is_full = False

    def step(self) -> None:
        """Take a step.

        Raises:
            OSError: there is no room, from this step on.
        """
        self._steps += 1
        if self._steps >= self._failing:
            self.is_full = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def full_disk(failing: int) -> Iterator[FullDisk]:
    """Let this process find no room from its step ``failing`` on; what it was writing is cut."""
    disk = FullDisk(failing)

    def checked(act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*arguments: Any, **options: Any) -> Any:
            disk.step()
            return act(*arguments, **options)

        return acted

    opened, synced = io.open, os.fsync

    def open_(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if set(mode) & set("wax+"):
            disk.step()
        return opened(file, mode, *arguments, **options)

    def fsync(descriptor: int) -> None:
        try:
            disk.step()
        except OSError:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            raise
        synced(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io, "open", open_)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "mkdir", checked(os.mkdir))
        patch.setattr(os, "replace", checked(os.replace))
        yield disk

"""A stream that may go away while a study runs: a pipe, a terminal, a full disk."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast


class SteadyStream:
    """Writes to a text stream, and falls silent at the first write that fails.

    What the stream's encoding lacks is written as escapes. All else is the stream's own.

    Args:
        stream: where to write.
        on_failure: called once with the system's words, where a write failed.
    """

    def __init__(self, stream: TextIO, on_failure: Callable[[str], object] = lambda reason: None):
        self._stream = stream
        self._on_failure = on_failure
        self._is_silent = False

    def write(self, text: str) -> int:
        """Write what can be written; return the number of characters."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError as error:
            escaped = text.encode(error.encoding, "backslashreplace").decode(error.encoding)
            self._attempt(lambda: self._stream.write(escaped))
        except (OSError, ValueError) as error:
            self._fall_silent(error)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        self._attempt(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (OSError, ValueError) as error:  # ValueError: it was closed
            self._fall_silent(error)

    def _fall_silent(self, error: OSError | ValueError) -> None:
        # What its buffer still holds would fail again, at the latest when the interpreter ends.
        with suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())
        if not self._is_silent:
            self._is_silent = True
            self._on_failure(getattr(error, "strerror", None) or str(error))


def steady(stream: TextIO, on_failure: Callable[[str], object] = lambda reason: None) -> TextIO:
    """Return a stream that falls silent where this one cannot be written; see `SteadyStream`."""
    return cast(TextIO, SteadyStream(stream, on_failure))

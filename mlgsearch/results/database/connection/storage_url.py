"""A database's URL as its user gives it: written out, or in a file that keeps its password."""

import os
import re
import shlex
import stat
from collections.abc import Iterable
from pathlib import Path

from mlgsearch.errors import StorageError

DEFAULT_STORAGE = "sqlite:///mlgsearch.db"

#: No URL is longer; a wrong file may be of any size.
_MOST_CHARACTERS = 10_000

_SECRET_KEY = re.compile(r"([?&][^=&]*(?:pass|pwd|secret|token)[^=&]*=)[^&]*", re.IGNORECASE)


def storage_url(written: str) -> str:
    """Return the URL itself: what is written, or the one line of FILE where that is ``@FILE``.

    Space around it is left out, and the ``~`` of an SQLite file is a home. What is on a command
    line every user of a machine can read, what is in a file of mode 0600 its owner alone.

    Raises:
        StorageError: the file cannot be read, may be written by others, or holds no or several
            lines, or names a home of an unknown user. The message does not show the file's content.
    """
    written = written.strip()
    if not written.startswith("@"):
        return _at_home(written)
    path = Path(written.removeprefix("@"))
    try:
        path = path.expanduser()
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MOST_CHARACTERS).strip()
    except UnicodeDecodeError:
        raise StorageError(f"{written}: {path} holds no text; write a database URL there") from None
    except OSError as error:
        raise StorageError(f"{written}: {path} cannot be read: {error.strerror}") from None
    except RuntimeError as error:  # of an unknown user
        raise StorageError(f"{written}: {error}") from None
    if not text or len(text.splitlines()) != 1 or text.startswith("@"):
        raise StorageError(f"{written}: {path} must hold a database URL on one line, nothing else")
    if stat.S_ISREG(mode) and mode & 0o002:
        raise StorageError(
            f"{written}: every user of this machine may write {path} (mode {mode & 0o777:03o}), "
            f"and so send you to a database of theirs: chmod 600 {shlex.quote(str(path))}"
        )
    return _at_home(text)


def exposed(written: str) -> str | None:
    """Return a sentence if others can read the password in an ``@FILE``; None where they cannot.

    Raises:
        StorageError: as `storage_url`.
    """
    url = storage_url(written)
    if not written.startswith("@") or safe_url(url) == url:
        return None
    path = Path(written.removeprefix("@")).expanduser()
    mode = path.stat().st_mode & 0o777
    if not mode & 0o077:
        return None
    return (
        f"other users of this machine can read the password in {path} (mode {mode:03o}); "
        f"chmod 600 {shlex.quote(str(path))}"
    )


def command_line(
    program: str, words: Iterable[str | int], storage: str, *, masks_password: bool
) -> str:
    """Write a command on a database, to paste into the shell in which this program was started.

    The database is named where it is not the usual one. A password is never shown: it is masked, or
    the database is not named, which is then to be looked for in that shell's MLGSEARCH_STORAGE.
    """
    shown = storage if storage.startswith("@") else safe_url(storage)
    is_usual = storage == (os.environ.get("MLGSEARCH_STORAGE") or DEFAULT_STORAGE)
    is_left_out = is_usual or (shown != storage and not masks_password)
    options = () if is_left_out else ("--storage", shown)
    return f"{program} {shlex.join(map(str, (*words, *options)))}"


def _at_home(url: str) -> str:
    """Write the home into the URL of an SQLite file that begins with ``~``, as a shell would."""
    found = re.fullmatch(r"(sqlite(?:\+\w+)?:///)(~[^/?]*)(.*)", url, re.DOTALL)
    if found is None:
        return url
    scheme, home, rest = found.groups()
    try:
        return f"{scheme}{Path(home).expanduser()}{rest}"
    except RuntimeError as error:  # of an unknown user
        raise StorageError(f"{url}: {error}") from None


def safe_url(url: str) -> str:
    """Return the URL with every password replaced by ``***``, fit for a message or a log.

    Works on malformed URLs as well, and there masks rather too much than too little: all from the
    colon after the user's name to the last ``@``, or to the first slash where there is no ``@``
    and it is no port; and query values whose key speaks of a password, secret or token.
    """
    scheme, mark, rest = url.partition("://")
    if not mark:  # a slip in the first characters
        return re.sub(r":.*@", ":***@", _SECRET_KEY.sub(r"\1***", url), flags=re.DOTALL)
    rest = _SECRET_KEY.sub(r"\1***", rest)
    rest = re.sub(r"^([^:/]*):.*@", r"\1:***@", rest, flags=re.DOTALL)
    if "@" not in rest:
        rest = re.sub(r"^([^:/?\[]+):(?!\d*(?:[/?]|$))[^/]*", r"\1:***", rest)
    return f"{scheme}://{rest}"

"""The secret that opens a dashboard to others than this machine."""

import os
import secrets
from pathlib import Path

from mlgsearch.errors import UserError

_SHORTEST = 20


def read_token(path: Path) -> str:
    """Read the token; a file that is not there yet is made, with a random one, for its owner only.

    Raises:
        UserError: the file can be read by others, holds no usable token, or cannot be read or made.
    """
    try:
        token = _made(path) if not path.exists() else _kept(path)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it holds no text"
        raise UserError(f"{path}: the token file cannot be read or made: {why}") from error
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable():
        raise UserError(
            f"{path}: the token must be one line of at least {_SHORTEST} printable ASCII "
            "characters; remove the file, and a random one is made"
        )
    return token


def _made(path: Path) -> str:
    token = secrets.token_urlsafe(32)
    # Its owner's from the first moment on, and never another's file or link.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{token}\n")
    return token


def _kept(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & 0o077:
            raise UserError(
                f"{path}: others than its owner can get at the token (mode {mode & 0o777:03o}); "
                f"after `chmod 600 {path}` it should also be a new one: remove it instead"
            )
        return file.read(1000).strip()

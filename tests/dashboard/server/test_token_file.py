"""The file with the dashboard's token."""

from pathlib import Path

import pytest

from dashboard.server.token_file import read_token
from mlgsearch.errors import UserError


def test_a_missing_file_is_made_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = read_token(path)
    assert len(token) >= 40
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_token(path) == token
    assert read_token(tmp_path / "other") != token


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_get_at_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text("a-token-of-more-than-twenty-letters\n")
    path.chmod(mode)
    with pytest.raises(UserError, match=f"mode {mode:03o}"):
        read_token(path)


@pytest.mark.parametrize(
    "content", [b"", b"short\n", b"\xff" * 40, "é".encode() * 30, b"a b\n" * 20]
)
def test_what_is_no_token_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UserError, match="token"):
        read_token(path)


def test_a_place_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read or made"):
        read_token(tmp_path / "no" / "token")
    with pytest.raises(UserError, match="cannot be read or made"):
        read_token(tmp_path)

"""The page of promises names tests that exist, and limits that hold."""

import re
from pathlib import Path

import pytest

from mlgsearch.study.file.strict_yaml import MAX_ALIASES, MAX_BYTES, MAX_DEPTH, MAX_VALUES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("path", "name"), TESTS, ids=lambda value: value or "whole file")
def test_every_test_that_the_page_names_exists(path: str, name: str) -> None:
    assert not name or f"\ndef {name}(" in (ROOT / path).read_text()
    assert (ROOT / path).is_file()


def test_every_promise_names_its_test() -> None:
    rows = [row for row in PAGE.splitlines() if row.startswith("| ") and "| test |" not in row]
    assert len(rows) > 20
    assert all("`tests/" in row for row in rows)


def test_the_limits_of_a_study_file_are_the_loaders() -> None:
    limits = (
        f"{MAX_BYTES:,} bytes, {MAX_VALUES:,} values (aliases written out), {MAX_ALIASES} aliases "
        f"and {MAX_DEPTH} levels"
    )
    assert limits in PAGE

"""The page of promises names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tests|scripts)/[\w/.]+)`", PAGE))))
def test_every_test_that_the_page_names_exists(path: str) -> None:
    assert (ROOT / path).is_file()


def test_every_promise_has_a_test() -> None:
    promises = PAGE.partition("## Figures")[0]
    rows = re.findall(r"^\| (?!fault|-)(.+?) \| .+ \| (.+?) \|$", promises, re.MULTILINE)
    assert len(rows) >= 10
    assert all("`tests/" in tests for _, tests in rows)

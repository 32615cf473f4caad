"""The page of promises names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tests|scripts)/[\w/.]+)[` ]", PAGE))))
def test_every_test_that_the_page_names_exists(path: str) -> None:
    assert (ROOT / path).is_file()


def test_every_promise_has_a_test_and_a_figure() -> None:
    promises = PAGE.partition("## Figures")[0]
    rows = [row.strip("| ").split(" | ") for row in promises.splitlines() if row.startswith("| ")]
    assert rows[0] == ["fault", "promise", "proven by", "figure"]
    assert len(rows) > 10
    assert all("`tests/" in proof and figure for _, _, proof, figure in rows[1:])

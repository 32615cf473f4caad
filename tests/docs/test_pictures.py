"""The pictures of README and docs are those that the script takes, and load at once."""

import re
from pathlib import Path

from tests.docs.pictures import DOCS, FRONT, MOST_BYTES, pictures

ROOT = Path(__file__).parents[2]


def shown() -> set[str]:
    """Return the names of the pictures in docs/ that a page of documentation shows."""
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    links = [link for page in pages for link in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text())]
    return {link.removeprefix("docs/") for link in links}


def test_what_is_taken_is_shown_and_what_is_shown_is_taken() -> None:
    taken = {FRONT, *(picture.file for picture in pictures(trial=0))}
    assert shown() == taken == {path.name for path in DOCS.glob("*.png")}


def test_pictures_are_small() -> None:
    assert {path.name for path in DOCS.glob("*.png") if path.stat().st_size > MOST_BYTES} == set()

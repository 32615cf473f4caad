"""The words that a reader must translate before he understands them are not used."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CODE = [
    file
    for package in ("mlgsearch", "dashboard")
    for file in sorted((ROOT / package).rglob("*.py"))
]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

WORDS = re.compile(r"\b(mend(s|ed|ing)?|in vain|for ever|told|tells of)\b", re.IGNORECASE)


def docstrings(tree: ast.Module) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield text


def texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("opening", ["Give", "Gives", "Tell", "Tells"])
def test_no_docstring_begins_so(opening: str) -> None:
    found = [
        f"{file.relative_to(ROOT)}: {text.splitlines()[0]}"
        for file in CODE
        for text in docstrings(ast.parse(file.read_text()))
        if text.split()[0] == opening
    ]
    assert found == []


def test_docstrings_and_messages_do_without_these_words() -> None:
    found = [
        f"{file.relative_to(ROOT)}: {match[0]}"
        for file in CODE
        for text in texts(ast.parse(file.read_text()))
        if (match := WORDS.search(text))
    ]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_pages_do_without_these_words(page: Path) -> None:
    assert [match[0] for match in WORDS.finditer(page.read_text())] == []

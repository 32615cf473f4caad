"""The words that a reader must translate are not used, and tables are whole."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CODE = [
    file
    for package in ("mlgsearch", "dashboard")
    for file in sorted((ROOT / package).rglob("*.py"))
]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

REPORT = ROOT / "benchmarks" / "README.md"

WORDS = re.compile(
    r"\b(mend(s|ed|ing)?|in vain|for ever|told|tells of|nobody"
    r"|stands?(?![- ](ins?|out|for)\b)|stood)\b",
    re.IGNORECASE,
)

#: A rate is written with "per", as in "five numbers per layer".
RATES = re.compile(
    r"\b(numbers|gain|points?|steps|epochs|seconds|minutes|microsecond|[KMGk]i?B|bytes|samples"
    r"|scales?|shift|pixels|[mµu]?s|time|values?|means|settings|checkpoints|multiply-accumulates"
    r"|rows?|mark|bar|line)\s+an?\s+"
    r"(layer|row|trial|epoch|step|image|study|channel|weight|pixel|sample|tensor|student|seed"
    r"|cell|node|batch|call|file|column|side|objective|mistake)\b"
)


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def docstrings(tree: ast.Module) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield text


def texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize(
    "opening", ["Give", "Gives", "Let", "Lets", "Say", "Says", "Tell", "Tells"]
)
def test_no_docstring_begins_so(opening: str) -> None:
    found = [
        f"{file.relative_to(ROOT)}: {text.splitlines()[0]}"
        for file in CODE
        for text in docstrings(tree_of(file))
        if text.split()[0] == opening
    ]
    assert found == []


@pytest.mark.parametrize("unwanted", [WORDS, RATES], ids=["words", "rates"])
def test_docstrings_and_messages_do_without_these(unwanted: re.Pattern[str]) -> None:
    found = [
        f"{file.relative_to(ROOT)}: {match[0]}"
        for file in CODE
        for text in texts(tree_of(file))
        if (match := unwanted.search(text))
    ]
    assert found == []


@pytest.mark.parametrize("unwanted", [WORDS, RATES], ids=["words", "rates"])
@pytest.mark.parametrize("page", [*PAGES, REPORT], ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_do_without_these(page: Path, unwanted: re.Pattern[str]) -> None:
    assert [match[0] for match in unwanted.finditer(page.read_text())] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("five numbers a layer", True),
        ("a gain a\n    layer that bends", True),
        ("0.05 MB an epoch", True),
        ("processor time a trial, s", True),
        ("bits a layer may have", False),
        ("how many batches an epoch has", False),
        ("of many trials a page shows ten", False),
    ],
)
def test_rates_are_known_from_articles(text: str, found: bool) -> None:
    assert bool(RATES.search(text)) is found


@pytest.mark.parametrize("page", [*PAGES, REPORT], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_row_of_a_table_has_as_many_cells_as_its_head(page: Path) -> None:
    cells, odd, is_code = 0, [], False
    for line in page.read_text().splitlines():
        is_code ^= line.lstrip().startswith("```")
        if is_code or not line.startswith("|"):
            cells = 0
            continue
        here = re.sub(r"\\\||`[^`]*`", "", line).count("|")
        odd += [line] if cells not in (0, here) else []
        cells = cells or here
    assert odd == []

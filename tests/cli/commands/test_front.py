"""`front` in every format."""

import csv
import json
import re

import pytest

from mlgsearch.results.formats import COLUMNS
from tests.cli.filled import NAME, Filled, Run, lines, row


def test_front_as_a_table_hides_no_column_when_piped(run: Run) -> None:
    result = run("front", NAME)
    assert "2 students, hypervolume" in " ".join(lines(result))
    cells = row(result, "1 ")
    sizes = ["0.0100", "100.0x", "12,345", "12500.0", "7,000,000,000"]
    assert (cells[:2], cells[-5:]) == (["1", "90.00%"], sizes)
    assert re.fullmatch(r"8\d\.\d% \(\d\d\.\d to 9\d\.\d\)", " ".join(cells[2:-5]))
    assert " ".join(" ".join(lines(result)).split()).endswith(
        "expected: a new training on new images, and the range of 90% of them; from the scatter "
        "alone: how many validation images there were is not stored"
    )


def test_front_as_json(run: Run) -> None:
    members = json.loads(run("front", NAME, "--format", "json").stdout)
    assert [member["trial"] for member in members] == [1, 0]
    assert list(members[0]) == list(COLUMNS)
    assert members[0]["compression"] == pytest.approx(100)


def test_front_as_csv(run: Run, filled: Filled) -> None:
    rows = list(csv.DictReader(run("front", NAME, "--format", "csv").stdout.splitlines()))
    assert [row["trial"] for row in rows] == ["1", "0"]
    assert json.loads(rows[0]["settings"])["layer1.0"] == [2, 44, 3, 6, 3]


@pytest.mark.parametrize("kind", ["table", "json", "csv", "html"])
def test_front_into_a_file(run: Run, filled: Filled, kind: str) -> None:
    path = filled.folder / f"front.{kind}"
    result = run("front", NAME, "--format", kind, "--out", str(path))
    assert lines(result) == ([str(path)] if kind == "html" else [])
    if kind == "html":
        text = path.read_text()
        assert "<html" in text
        assert "digits [bold]" in text
    else:
        printed = run("front", NAME, "--format", kind).stdout
        clean = [line.rstrip() for line in path.read_text().splitlines()]
        assert clean == [line.rstrip() for line in printed.splitlines()]


def test_a_plot_without_a_name_takes_the_studys(run: Run, filled: Filled) -> None:
    (name,) = lines(run("front", NAME, "--format", "html"))
    assert name.startswith("digits-bold-")
    assert (filled.folder / name).is_file()


def test_an_empty_study_has_an_empty_front(run: Run) -> None:
    assert json.loads(run("front", "empty", "--format", "json").stdout) == []
    assert run("front", "empty", "--format", "csv").stdout.splitlines() == [",".join(COLUMNS)]
    assert "0 students, hypervolume 0.0000" in " ".join(lines(run("front", "empty")))
    assert run("front", "empty", "--format", "html").exit_code == 0

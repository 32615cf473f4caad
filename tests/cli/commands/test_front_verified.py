"""`front --verified` in every format."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mlgsearch.cli.app import app
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.results.formats import VERIFIED_COLUMNS
from tests.results.samples import a_complete, a_study, a_verification
from tests.study.driverless import empty_database

Run = Callable[..., Result]


@pytest.fixture
def verifications(tmp_path: Path) -> Iterator[VerificationStore]:
    """A study of two students, each verified under two seeds."""
    (tmp_path / "a.db").write_bytes(empty_database())
    engine = open_engine(f"sqlite:///{tmp_path}/a.db")
    store, verifications = ResultStore(engine), VerificationStore(engine)
    store.create_study(a_study(teacher_test_accuracy=0.96))
    for number in (0, 1):
        store.put_trial("digits", a_complete(number, 0.9, 0.05 - number / 25))
        for seed in (1, 2):
            accuracy = 0.7 + number / 10 + seed / 100
            verifications.put("digits", a_verification(number, seed, accuracy))
    yield verifications
    engine.dispose()


@pytest.fixture
def run(tmp_path: Path, verifications: VerificationStore, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        command = ["front", "digits", "--verified", *arguments, "--storage", "sqlite:///a.db"]
        return CliRunner().invoke(app, command)

    return run


def cells(result: Result) -> list[list[str]]:
    assert result.exception is None, result.output
    return [line.split() for line in result.stdout.splitlines() if line.strip()]


def test_as_a_table(run: Run) -> None:
    title, heading, _, *rows = cells(run())
    assert " ".join(title) == "Verified students of digits: 2 on 270 test samples, teacher 96.00%"
    assert " ".join(heading) == "trial test accuracy n packed searched on front smaller KB"
    spread = ["\N{PLUS-MINUS SIGN}", "0.71%"]
    assert rows == [
        ["1", "81.50", *spread, "2", "81.50%", "90.00%", "100%", "100.0x", "7.0"],
        ["0", "71.50", *spread, "2", "71.50%", "90.00%", "<1%", "20.0x", "7.0"],
    ]


def test_lengths_of_training_are_a_column_where_they_differ(
    run: Run, verifications: VerificationStore
) -> None:
    verifications.put("digits", a_verification(0, 1, 0.99, epochs=30))
    _, heading, _, *rows = cells(run())
    assert heading[:2] == ["trial", "epochs"]
    assert [row[:2] for row in rows] == [["1", "10"], ["0", "10"], ["0", "30"]]
    # One seed alone has neither spread nor probability.
    assert rows[-1][2:6] == ["99.00%", "1", "99.00%", "90.00%"]


def test_as_json_and_csv(run: Run) -> None:
    members = json.loads(run("--format", "json").stdout)
    assert [member["trial"] for member in members] == [1, 0]
    assert list(members[0]) == list(VERIFIED_COLUMNS)
    rows = list(csv.DictReader(run("--format", "csv").stdout.splitlines()))
    assert [row["trial"] for row in rows] == ["1", "0"]
    assert json.loads(rows[0]["seeds"]) == [1, 2]


def test_as_a_page(run: Run, tmp_path: Path) -> None:
    (name,) = run("--format", "html").stdout.split()
    assert name.endswith("-verified.html")
    assert "digits, verified" in (tmp_path / name).read_text()

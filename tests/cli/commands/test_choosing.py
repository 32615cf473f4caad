"""`choose` on a database filled through the store."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mlgsearch.cli.app import app
from mlgsearch.errors import UserError
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from tests.results.samples import a_complete, a_study, a_verification
from tests.study.driverless import empty_database

NAME = "my digits [bold]"
Run = Callable[..., Result]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A study of three students on a front, and one of a version without packed bytes."""
    (tmp_path / "a.db").write_bytes(empty_database())
    engine = open_engine(f"sqlite:///{tmp_path}/a.db")
    store = ResultStore(engine)
    store.create_study(a_study(NAME, teacher_accuracy=0.96))
    for trial in (
        a_complete(0, 0.80, 0.010, packed_bytes=7_412),
        a_complete(1, 0.90, 0.020, packed_bytes=12_345),
        a_complete(2, 0.95, 0.090, packed_bytes=200_000),
        a_complete(3, 0.85, 0.015),
    ):
        store.put_trial(NAME, trial)
    for seed in (1, 2):
        VerificationStore(engine).put(NAME, a_verification(1, seed, 0.88 + seed / 100))
    yield f"sqlite:///{tmp_path}/a.db"
    engine.dispose()


@pytest.fixture
def run(url: str) -> Run:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["choose", NAME, *arguments, "--storage", url])

    return run


def lines(result: Result) -> list[str]:
    assert result.exception is None, result.output
    return [" ".join(line.split()) for line in result.stdout.splitlines() if line.strip()]


def test_one_trial_its_reason_its_neighbours_and_the_way_home(
    run: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/mlgsearch"])
    first, heading, _, *rest = lines(run("--max-kb", "20"))
    assert first == (
        f"Trial 1 of {NAME}: the student with the highest expected accuracy whose packed file is "
        "at most 20 KB (2 of the 3 on the front of expected accuracies fit)"
    )
    assert heading == "trial accuracy expected memory ratio KB points for KB"
    smaller, chosen, larger, *rest = rest
    interval = r"\d\d\.\d% \(\d\d\.\d to \d\d\.\d\)"
    traded = r"-1\d\.\d\d for -4\.93 KB"
    assert re.fullmatch(rf"smaller 0 80\.00% {interval} 0\.0100 7\.4 {traded}", smaller)
    verified = interval.replace(r"\d\d\.\d%", r"89\.5%") + r", verified \(2 seeds\)"
    assert re.fullmatch(rf"chosen 1 90\.00% {verified} 0\.0200 12\.3", chosen)
    traded = r"\+\d\.\d\d for \+188 KB"
    assert re.fullmatch(rf"larger 2 95\.00% {interval} 0\.0900 200\.0 {traded}", larger)
    assert " ".join(rest[:-3]) == (
        "expected: a new training on new images, and the range of 90% of them; verified: the mean "
        "of its seeds on the test part; from the scatter alone: how many validation images there "
        "were is not stored"
    )
    assert rest[-3:] == [
        "Verified on the test part: 89.50 \N{PLUS-MINUS SIGN} 0.71%, 2 seeds of 10 epochs",
        "Export it:",
        f"mlgsearch export '{NAME}' 1 student-1.safetensors --storage {url}",
    ]


def test_other_limits_have_other_rules(run: Run) -> None:
    found = lines(run("--max-ratio", "0.0151"))
    assert found[0].endswith(
        "the student with the highest expected accuracy whose memory ratio is at most 0.0151 "
        "(2 of the 4 on the front of expected accuracies fit)"
    )
    # Where a file's size is not known, points alone are traded.
    (larger,) = (line for line in found if line.startswith("larger 1 90.00% "))
    assert re.search(r" 0\.0200 12\.3 \+\d\.\d\d$", larger)
    found = lines(run("--within", "3"))
    assert found[0].endswith(
        "the smallest student expected at most 3 points below the teacher's 96.00% (1 of the 4 on "
        "the front of expected accuracies fit)"
    )
    assert any(line.startswith("chosen 2 95.00% ") for line in found)
    assert not any(line.startswith(("larger", "Verified")) for line in found)


def test_verified_students_are_compared_with_the_teacher_on_the_test_part(
    run: Run, url: str
) -> None:
    engine = open_engine(url)
    ResultStore(engine).set_teacher_test_accuracy(NAME, 0.90)
    engine.dispose()
    found = lines(run("--within", "1"))
    assert found[0].endswith(
        "the smallest student expected at most 1 point below the teacher's 90.00% on the test part "
        "(2 of the 4 on the front of expected accuracies fit)"
    )
    assert any(line.startswith("chosen 1 ") for line in found)


def test_a_tie_goes_to_the_smaller_and_is_said(run: Run, url: str) -> None:
    engine = open_engine(url)
    store = ResultStore(engine)
    store.put_trial(NAME, a_complete(4, 0.952, 0.1, packed_bytes=220_000))
    store.set_data(NAME, "da7a", 269)
    engine.dispose()
    first = lines(run("--max-kb", "300"))[0]
    assert re.search(
        r"Trial 2 .* at most 300 KB, tied with the larger trial 4, whose lead of 0\.\d\d points is "
        r"within the noise \(4 of the 4 ",
        first,
    )
    choice = json.loads(run("--max-kb", "300", "--json").stdout)
    assert (choice["chosen"]["trial"], choice["tied_with"]) == (2, 4)
    assert choice["larger"]["trial"] == 4


def test_as_json(run: Run) -> None:
    (line,) = run("--max-kb", "20", "--json").stdout.splitlines()
    choice = json.loads(line)
    assert (choice["study"], choice["limit"]) == (NAME, {"max_kb": 20})
    assert choice["chosen"]["trial"] == 1
    assert (choice["chosen"]["accuracy"], choice["chosen"]["expected_accuracy"]) == (
        0.9,
        pytest.approx(0.895),
    )
    smaller = choice["smaller"]
    assert smaller["points_more"] == pytest.approx(100 * (smaller["expected_accuracy"] - 0.895))
    assert choice["tied_with"] is None
    assert choice["smaller"]["kb_more"] == pytest.approx(-4.933)
    assert choice["verified"][0]["test_accuracy"] == pytest.approx(0.895)
    alone = json.loads(run("--max-ratio", "0.0151", "--json").stdout)
    assert alone["larger"]["kb_more"] is None
    assert json.loads(run("--within", "90", "--json").stdout)["smaller"] is None
    assert json.loads(run("--at-least", "5", "--json").stdout)["smaller"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--max-ms MS, --within PCT and --at-least PCT, got 0 of them"),
        (("--max-kb", "9", "--within", "1"), "got 2 of them"),
        (("--max-kb", "1"), "--max-kb 1: the smallest file, of trial 0, has 7.412 KB"),
        (("--max-kb", "7.4"), "the least possible is --max-kb 7.412"),
        (("--within", "0.5"), "the least possible is --within "),
        (("--at-least", "99.9"), "is expected; the most possible is --at-least "),
        (("--max-ratio", "inf"), "--max-ratio: expected a finite number, got inf"),
    ],
)
def test_a_mistake_is_an_error_for_its_user(run: Run, arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, UserError)
    (line,) = str(result.exception).splitlines()
    assert said in line


def test_the_limits_of_the_study_are_shown_with_what_the_student_has(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(empty_database())
    url = f"sqlite:///{tmp_path}/a.db"
    engine = open_engine(url)
    store = ResultStore(engine)
    limits = {"packed_bytes": 20_000, "peak_activation_bytes": 9_000, "latency_ms": 5}
    store.create_study(a_study("limited", content={"limits": limits}))
    student = a_complete(0, 0.8, 0.01, packed_bytes=7_412, peak_activation_bytes=8_192)
    store.put_trial("limited", student)
    engine.dispose()
    arguments = ["choose", "limited", "--max-kb", "20", "--storage", url]
    shown = lines(CliRunner().invoke(app, arguments))
    said = (
        "Limits of the study: packed_bytes 7,412 of at most 20,000, peak_activation_bytes 8,192 of "
        "at most 9,000, latency_ms unknown of at most 5"
    )
    assert said in " ".join(shown)
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert found["limits"] == limits
    assert found["chosen"]["peak_activation_bytes"] == 8_192

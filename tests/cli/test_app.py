"""Every command: a user's mistakes, exit codes, a missing or foreign database."""

import json
import os
import sqlite3
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import optuna
import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from mlgsearch import __version__
from mlgsearch.cli.app import app, main
from mlgsearch.cli.commands.driving import _end
from mlgsearch.errors import UserError
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.results.read.study_list import study_rows
from mlgsearch.results.read.study_reader import StudyReader
from mlgsearch.study.drive import Outcome
from tests.cli.filled import NAME, Filled, Run, lines, row
from tests.results.samples import a_complete, a_study, a_verification

ROOT = Path(__file__).parents[2]


def test_a_study_has_one_hypervolume(
    run: Run, filled: Filled, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = {"accuracy": 0.5, "memory_ratio": -0.5}
    filled.store.create_study(a_study("other", hypervolume_reference=reference))
    filled.store.put_trial("other", a_complete(0, 0.9, 0.01))
    volume = (0.9 - 0.5) * (2.0 - 0.5)
    assert "1 student, hypervolume 0.6000" in lines(run("front", "other"))[0]
    assert " 0.6000 " in " ".join(row(run("list"), "other"))
    listed = [json.loads(line) for line in lines(run("list", "--json"))]
    assert listed[-1]["hypervolume"] == pytest.approx(volume)
    study = filled.store.study("other")
    _end(Outcome(study, True, ()), filled.engine, filled.url, as_json=True)
    assert json.loads(capsys.readouterr().out)["hypervolume"] == pytest.approx(volume)
    # What the page shows.
    assert study_rows(filled.engine)[-1].reached.hypervolume == pytest.approx(volume)
    _, course = (
        StudyReader(filled.engine, "other")
        .read()
        .hypervolume_over_trials(study.objectives, study.hypervolume_reference)
    )
    assert course[-1] == pytest.approx(volume)


def test_trials_without_packed_bytes_are_left_out_where_they_are_an_objective(
    run: Run, filled: Filled
) -> None:
    filled.store.create_study(a_study("old", objectives=("accuracy", "packed_bytes")))
    for number, size in enumerate((None, 9_000, None, 5_000)):
        trial = a_complete(number, 0.9 - number / 10, 0.1 - number / 50, packed_bytes=size)
        filled.store.put_trial("old", trial)
    verifications = VerificationStore(filled.engine)
    for number in (0, 1):
        verifications.put("old", a_verification(number))
    assert " ".join(row(run("list"), "old")).startswith("old 4/8 0 0 0 0 90.00% 0.0400 ")
    assert json.loads(lines(run("list", "--json"))[-1])["states"]["COMPLETE"] == 4
    assert "2 students, hypervolume" in lines(run("front", "old"))[0]
    for kind in ("json", "csv", "html"):
        assert lines(run("front", "old", "--format", kind))
        assert lines(run("front", "old", "--verified", "--format", kind))
    assert "Verified students of old: 2" in lines(run("front", "old", "--verified"))[0]
    assert row(run("show", "old"), "* 1")[2] == "COMPLETE"
    assert row(run("show", "old"), "0 ")[1] == "COMPLETE"
    assert lines(run("show", "old", "0"))
    assert lines(run("choose", "old", "--max-kb", "9"))[0].startswith("Trial 1 of old")
    # By its ratio a trial without a size counts; which is chosen is the expectation's matter.
    said = lines(run("choose", "old", "--max-ratio", "0.1"))[0]
    assert "(3 of the 3 on the front of expected accuracies fit)" in said
    assert lines(run("choose", "old", "--within", "10", "--json"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "digit"), "no study 'digit'; there is"),
        (("front", "digit"), "no study 'digit'; there is"),
        (("delete", "digit", "--yes"), "no study 'digit'; there is"),
        (("show", NAME, "99"), "has no trial 99; it has 7 trials, numbered 0 to 6"),
        (("front", NAME, "--format", "csv", "--out", "/no/such/folder/f"), "cannot be written"),
        (("front", NAME, "--format", "html", "--out", "/proc/f.html"), "cannot be written"),
    ],
)
def test_a_mistake_is_an_error_for_its_user(run: Run, arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, UserError)
    assert said in str(result.exception)


@pytest.mark.parametrize("command", [("list",), ("show", "x"), ("front", "x"), ("delete", "x")])
def test_a_database_that_is_not_there_is_not_made(
    run: Run, filled: Filled, command: list[str]
) -> None:
    result = run(*command, "--storage", "sqlite:///none.db")
    assert isinstance(result.exception, UserError)
    assert "there is no file" in str(result.exception)
    assert not (filled.folder / "none.db").exists()


def test_a_foreign_database_is_refused_and_left_as_it_is(run: Run, filled: Filled) -> None:
    optuna.create_study(storage="sqlite:///optuna.db", study_name="x").optimize(
        lambda trial: trial.suggest_float("x", 0, 1), n_trials=1
    )
    before = (filled.folder / "optuna.db").read_bytes()
    for command in (("list",), ("show", "x"), ("delete", "x", "--yes")):
        result = run(*command, "--storage", "sqlite:///optuna.db")
        assert "has no mlgsearch tables yet" in str(result.exception)
    assert (filled.folder / "optuna.db").read_bytes() == before
    (filled.folder / "text.db").write_text("not a database, but long enough to be read as one" * 9)
    result = run("list", "--storage", "sqlite:///text.db")
    assert "file is not a database" in str(result.exception)


def test_version_and_help(run: Run) -> None:
    assert lines(CliRunner().invoke(app, ["--version"])) == [f"mlgsearch {__version__}"]
    for option in ("--help", "-h"):
        shown = " ".join(lines(CliRunner().invoke(app, ["front", option])))
        assert "Print the Pareto front" in shown
        assert "--format" in shown


# As a process: what a shell sees.


def search(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "search.py"), *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_process_prints_and_exits_with_0(filled: Filled) -> None:
    done = search(filled.folder, "front", NAME, "--format", "json", MLGSEARCH_STORAGE=filled.url)
    assert done.returncode == 0, done.stderr
    assert [member["trial"] for member in json.loads(done.stdout)] == [1, 0]
    assert done.stderr == ""


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nothing", "--storage", "sqlite:///a.db"), "error: no study 'nothing'; there is"),
        (("list", "--storage", "sqlite:///none.db"), "error: sqlite:///none.db: there is no file"),
        (("list", "--storage", f"postgres//u:{SECRET}@host/db"), "error: postgres//u:***@"),
        (("list", "--storage", f"nosuch://u:{SECRET}@host/db"), "error: nosuch://u:***@host/db"),
        (
            ("list", "--storage", f"postgresql://u:{SECRET}@host:port/db"),
            "error: postgresql://u:**",
        ),
        (("launch", "none.yaml"), "error: none.yaml: no such file"),
        (
            ("launch", "x.yaml"),
            "error: x.yaml: search.n_trails: unknown key, did you mean n_trials?",
        ),
        (("front", NAME, "--format", "pdf"), "Invalid value for '--format'"),
        (("resume",), "Missing argument 'NAME'"),
        (("fornt",), "No such command 'fornt'"),
    ],
)
def test_a_mistake_exits_with_2_and_no_traceback(
    filled: Filled, arguments: tuple[str, ...], said: str
) -> None:
    (filled.folder / "x.yaml").write_text("name: x\nsearch: {n_trails: 3}\n")
    before = set(filled.folder.iterdir())
    done = search(filled.folder, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr + done.stdout
    assert done.stdout == ""
    assert set(filled.folder.iterdir()) == before


def test_a_database_that_goes_away_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("CREATE TABLE results (x)")
    other.execute("BEGIN EXCLUSIVE")
    engine = create_engine(f"sqlite:///{tmp_path}/a.db", connect_args={"timeout": 0})

    def command() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT * FROM results"))

    monkeypatch.setattr("mlgsearch.cli.app.app", command)
    with pytest.raises(SystemExit) as ended:
        main()
    engine.dispose()
    other.close()
    said = "error: the database does not answer: another process holds it (database is locked); "
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"{said}try again later\n"


def test_the_installed_command_is_the_same() -> None:
    (script,) = entry_points(group="console_scripts", name="mlgsearch")
    assert script.load() is main


def test_a_reader_that_closes_the_pipe_sees_no_traceback(filled: Filled) -> None:
    command = f"{sys.executable} {ROOT}/search.py show '{NAME}' --storage {filled.url} | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""

"""The commands that read, on a database filled through the store; and every exit code."""

import csv
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

import optuna
import pytest
from sqlalchemy import Engine, create_engine, event, text
from typer.testing import CliRunner, Result

from mlgsearch import __version__
from mlgsearch.cli.app import app, main
from mlgsearch.cli.commands.driving import _end, _next_commands
from mlgsearch.errors import StudyConflictError, UserError
from mlgsearch.paths import runs_directory, study_directory
from mlgsearch.records import StudyRecord, TrialState
from mlgsearch.results.database import lease as leases
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.results.formats import COLUMNS
from mlgsearch.results.read.study_list import study_rows
from mlgsearch.results.read.study_reader import StudyReader
from mlgsearch.study.artifacts.store import artifacts_of
from mlgsearch.study.drive import Outcome
from tests.results.samples import a_complete, a_study, a_trial, a_verification, an_epoch
from tests.study.driverless import empty_database

ROOT = Path(__file__).parents[2]
NAME = "digits [bold]"


class Filled:
    """A database with two studies; the first has a trial in each state."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "a.db").write_bytes(empty_database())
        self.url = f"sqlite:///{folder}/a.db"
        self.engine: Engine = open_engine(self.url)
        self.store = ResultStore(self.engine)
        self.store.create_study(a_study(NAME, content_hash="1", n_trials=9))
        self.store.create_study(a_study("empty", teacher_accuracy=None))
        note = "no [red]memory[/] left"
        for trial in (
            a_complete(0, 0.95, 0.05, projection_error={"stem": 0.25}, stage_seconds={"train": 2}),
            a_complete(1, 0.90, 0.01, packed_bytes=12_500_049),
            a_complete(2, 0.80, 0.02),
            a_complete(3, 0.95, 0.05, reused_from=0),
            a_trial(4, state=TrialState.FAIL, error=note, attempts=3),
            a_trial(5, state=TrialState.RUNNING, epochs_done=1),
            a_trial(6, state=TrialState.WAITING),
        ):
            self.store.put_trial(NAME, trial)
        self.store.put_epochs(NAME, 0, [an_epoch(1), an_epoch(2, train_loss=float("nan"))])

    @property
    def study(self) -> StudyRecord:
        return self.store.study(NAME)

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Hold the lease of the first study, as a driver on this machine would."""
        lease = leases.acquire(self.engine, NAME, holder="ann", host="box", pid=os.getpid())
        yield
        leases.release(self.engine, lease)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Filled]:
    filled = Filled(tmp_path)
    yield filled
    filled.engine.dispose()


Run = Callable[..., Result]


@pytest.fixture
def run(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(filled.folder)

    def run(*arguments: str, answer: str | None = None) -> Result:
        options = ["--storage", filled.url] if "--storage" not in arguments else []
        return CliRunner().invoke(app, [*arguments, *options], input=answer)

    return run


def lines(result: Result) -> list[str]:
    assert result.exception is None, result.output
    return [line.strip() for line in result.stdout.splitlines() if line.strip()]


def row(result: Result, first: str) -> list[str]:
    """Return the cells of the table row that begins so."""
    (found,) = [line for line in lines(result) if line.startswith(first)]
    return found.split()


def test_list_shows_states_best_values_and_the_driver(run: Run, filled: Filled) -> None:
    with filled.driven():
        found = " ".join(row(run("list"), NAME))
    # Complete of wanted, pruned, failed, running, queued, best accuracy, smallest.
    assert found.startswith(f"{NAME} 4/9 0 1 1 1 95.00% 0.0100 ")
    assert f"ann@box:{os.getpid()}" in found
    # Without a driver nothing runs: what was running waits to be adopted.
    assert " ".join(row(run("list"), NAME)).startswith(f"{NAME} 4/9 0 1 0 2 ")


def test_list_as_json(run: Run, filled: Filled) -> None:
    with filled.driven():
        first, second = (json.loads(line) for line in lines(run("list", "--json")))
    assert list(first) == ["study", "n_trials", "states", "hypervolume", "driver"]
    assert first["study"] == NAME
    assert first["states"] == {"WAITING": 1, "RUNNING": 1, "COMPLETE": 4, "PRUNED": 0, "FAIL": 1}
    assert first["driver"] == f"box:{os.getpid()}"
    assert (second["hypervolume"], second["driver"]) == (0, None)


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
    assert "(3 of the 3 on the front fit)" in lines(run("choose", "old", "--max-ratio", "0.1"))[0]
    assert lines(run("choose", "old", "--within", "10", "--json"))


def test_list_reads_no_more_than_the_page_does(run: Run, filled: Filled) -> None:
    """Every trial's settings, once read for each study, took ten times as long."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        study_rows(filled.engine)
        page = [said for said in statements if " FROM mlg_trial" in " ".join(said.split())]
        for options in ((), ("--json",)):
            statements.clear()
            run("list", *options)
            command = [said for said in statements if " FROM mlg_trial" in " ".join(said.split())]
            assert command == page
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert page
    assert not any("settings" in statement for statement in page)


def test_list_of_a_database_without_studies(run: Run, filled: Filled) -> None:
    filled.store.delete_study(NAME)
    filled.store.delete_study("empty")
    assert lines(run("list"))[0].startswith("No studies yet; start one with")
    assert lines(run("list", "--json")) == []


def test_show_lists_every_trial_with_the_front_starred(run: Run) -> None:
    result = run("show", NAME)
    assert lines(result)[0].startswith(f"{NAME}: 7 of 9 trials, teacher 97.50%, objectives")
    assert row(result, "* 0")[2:6] == ["COMPLETE", "95.00%", "0.0500", "20.0x"]
    assert row(result, "* 1")[2:4] == ["COMPLETE", "90.00%"]
    assert row(result, "2 ")[1] == "COMPLETE"
    assert " ".join(row(result, "3 ")).endswith("the same student as trial 0")
    assert " ".join(row(result, "4 ")).endswith("no [red]memory[/] left")
    assert row(result, "5 ")[-1] == "1/10"


def test_show_reports_what_changed_and_was_accepted(run: Run, filled: Filled) -> None:
    changes = ["library torch: 2.14.1 -> 2.15.0", "training.epochs: [red]10[/] -> 20"]
    study = filled.store.study(NAME)
    filled.store.accept_change(
        NAME,
        changes,
        content=study.content,
        content_hash=study.content_hash,
        source=study.source,
        versions=study.versions,
    )
    head, *accepted = lines(run("show", NAME))[:4]
    assert head.startswith(f"{NAME}: 7 of 9")
    assert re.fullmatch(
        r"Changed after 7 trials, and accepted on [-0-9]{10} [:0-9]{5} UTC:", accepted[0]
    )
    assert accepted[1:] == changes


def test_show_one_trial(run: Run) -> None:
    result = run("show", NAME, "0")
    assert row(result, "stem ") == ["stem", "-", "-", "8", "-", "-", "0.250"]
    assert row(result, "layer1.0 ")[1:6] == ["2", "44", "3", "6", "3"]
    assert row(result, "1 ")[:3] == ["1", "1.0000", "90.00%"]
    assert "seed 4611686018427387904, attempts 0, train 2.00 s" in lines(result)
    assert any(
        line.startswith('hyperparameters: {"learning_rate": 0.001') for line in lines(result)
    )
    assert lines(run("show", NAME, "6"))[-1].endswith("attempts 0")


def test_show_as_json(run: Run) -> None:
    trials = [json.loads(line) for line in lines(run("show", NAME, "--json"))]
    assert [trial["trial"] for trial in trials] == list(range(7))
    assert trials[3]["reused_from"] == 0
    assert trials[4]["error"] == "no [red]memory[/] left"
    assert trials[0]["settings"] == {"stem": [0, 0, 8, 0, 0], "layer1.0": [2, 44, 3, 6, 3]}
    (line,) = lines(run("show", NAME, "0", "--json"))
    assert "NaN" not in line
    trial = json.loads(line)
    assert trial["epochs"][1]["train_loss"] is None
    assert trial["projection_error"] == {"stem": 0.25}


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


def checkpoints(filled: Filled) -> Path:
    folder = study_directory(runs_directory(filled.url), filled.study)
    (folder / "000000").mkdir(parents=True)
    (folder / "000000" / "student.safetensors").write_text("x")
    return folder


def test_delete_takes_what_lies_in_a_store_along(run: Run, filled: Filled, tmp_path: Path) -> None:
    content = {**filled.study.content, "resources": {"artifact_path": f"file://{tmp_path}/store"}}
    filled.store.set_content(NAME, content)
    artifacts = artifacts_of(filled.study, tmp_path)
    work = artifacts.begin(0, 1)
    (work.path / "student.safetensors").write_text("x")
    work.publish()
    work.close()
    assert len(list((tmp_path / "store").iterdir())) == 1
    assert run("delete", NAME, "--yes").stdout == f"deleted {NAME}\n"
    assert list((tmp_path / "store").iterdir()) == []


def test_delete_asks_and_takes_no_for_an_answer(run: Run, filled: Filled) -> None:
    folder = checkpoints(filled)
    for answer in ("n\n", "\n", ""):
        result = run("delete", NAME, answer=answer)
        assert result.exit_code == 1
        assert f"Delete study {NAME!r} with its 7 trials and checkpoints?" in result.stdout
    assert filled.study.name == NAME
    assert folder.is_dir()


@pytest.mark.parametrize(("options", "answer"), [((), "y\n"), (("--yes",), None), (("-y",), None)])
def test_delete_takes_rows_checkpoints_and_optunas_rows(
    run: Run, filled: Filled, options: tuple[str, ...], answer: str | None
) -> None:
    folder = checkpoints(filled)
    for name in (NAME, "other"):
        optuna.create_study(
            storage=filled.url, study_name=name, directions=["maximize", "minimize"]
        ).enqueue_trial({"x": 1})
    result = run("delete", NAME, *options, answer=answer)
    assert lines(result)[-1].endswith(f"deleted {NAME}")
    assert [study.name for study in filled.store.studies()] == ["empty"]
    assert optuna.get_all_study_names(filled.url) == ["other"]
    assert not folder.exists()


def test_delete_is_refused_while_a_driver_holds_the_study(run: Run, filled: Filled) -> None:
    folder = checkpoints(filled)
    with filled.driven():
        result = run("delete", NAME, "--yes")
    assert isinstance(result.exception, StudyConflictError)
    assert f"is driven by ann (process {os.getpid()} on box)" in str(result.exception)
    assert len(filled.store.trials(NAME)) == 7
    assert folder.is_dir()


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


def test_the_end_of_a_study_reports_what_to_do_next(filled: Filled) -> None:
    lines = list(_next_commands(filled.study, filled.store.trials(NAME), filled.url))
    verbs = ("show", "choose", "verify", "export", "resume")
    assert len(lines) == len(verbs)
    assert all(f" {verb} '{NAME}'" in line for verb, line in zip(verbs, lines, strict=True))
    words = shlex.split(lines[1])
    done = CliRunner().invoke(app, words[words.index("choose") :])
    assert done.exit_code == 0, done.output
    (only,) = _next_commands(filled.study, [], filled.url)
    assert " resume " in only


def test_reading_commands_load_nothing_heavy(filled: Filled) -> None:
    heavy = {"torch", "torchvision", "ray", "optuna", "sklearn", "alembic", "plotly"}
    heavy.add("mlgsearch.study.file.spec")
    commands = [["list"], ["show", NAME], ["show", NAME, "0"], ["front", NAME]]
    commands.append(["choose", NAME, "--max-ratio", "0.03"])
    script = f"""
import sys
from typer.testing import CliRunner
from mlgsearch.cli.app import app
for command in {commands}:
    done = CliRunner().invoke(app, [*command, "--storage", {filled.url!r}])
    assert done.exit_code == 0, done.output
print(sorted({heavy} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_reader_that_closes_the_pipe_sees_no_traceback(filled: Filled) -> None:
    command = f"{sys.executable} {ROOT}/search.py show '{NAME}' --storage {filled.url} | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""

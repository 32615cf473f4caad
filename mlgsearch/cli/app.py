"""The commands of mlgsearch; each is a thin layer over `study` and `results`.

Commands that only read load neither torch nor Ray: those imports stand inside the commands that
train, so that `front` answers in half a second.
"""

import contextlib
import io
import json
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from sqlalchemy import Engine

from mlgsearch import __version__
from mlgsearch.cli.evaluate import evaluate
from mlgsearch.cli.events import JsonEvents, detailed_trial_fields, trial_fields
from mlgsearch.cli.export import export
from mlgsearch.cli.lines import PlainLines
from mlgsearch.cli.live import LiveView
from mlgsearch.cli.options import DEFAULT_STORAGE as DEFAULT_STORAGE
from mlgsearch.cli.options import Json, Name, Storage
from mlgsearch.cli.output import WHOLE_LINES, print_json, stdout_console
from mlgsearch.cli.sizes import sizes
from mlgsearch.cli.tables import (
    curve_table,
    front_table,
    settings_table,
    studies_table,
    study_row,
    trials_table,
)
from mlgsearch.errors import UserError
from mlgsearch.records import StudyRecord
from mlgsearch.results import lease as leases
from mlgsearch.results import schema
from mlgsearch.results.chart import pareto_chart, write_html
from mlgsearch.results.engine import open_engine, safe_url
from mlgsearch.results.front import front, front_hypervolume
from mlgsearch.results.places import runs_directory, study_directory
from mlgsearch.results.store import ResultStore
from mlgsearch.results.table import front_rows, to_csv
from mlgsearch.study.spec import load_study_file

if TYPE_CHECKING:
    from mlgsearch.study.drive import Options, Outcome, Watch

#: What a shell gives a program that Ctrl-C ended.
EXIT_INTERRUPTED = 130

app = typer.Typer(
    help="Search per-layer multi-level generation (MLG) settings; get a Pareto front of students.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Trials = Annotated[
    int | None, typer.Option("--trials", min=1, help="Total of trials wanted, not more of them.")
]
Address = Annotated[
    str | None, typer.Option(metavar="RAY", help="Address of a running Ray cluster.")
]
Parallel = Annotated[int | None, typer.Option(min=1, help="Most trials to run at once.")]


class Format(StrEnum):
    """How a front is written."""

    table = "table"
    json = "json"
    csv = "csv"
    html = "html"


@app.command()
def launch(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Study file (YAML).")],
    storage: Storage = DEFAULT_STORAGE,
    trials: Trials = None,
    address: Address = None,
    max_parallel: Parallel = None,
    as_json: Json = False,
) -> None:
    """Start the study of a file, or go on with it where it is stored with the same content."""
    spec, source = load_study_file(file)

    from mlgsearch.study.launch import launch as start  # loads torch and Ray

    engine = open_engine(storage)
    with _driving(address, max_parallel, as_json) as (watch, options):
        outcome = start(spec, source, engine, watch, n_trials=trials, options=options)
    _end(outcome, engine, storage, as_json)


@app.command()
def resume(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    trials: Trials = None,
    address: Address = None,
    max_parallel: Parallel = None,
    as_json: Json = False,
) -> None:
    """Go on with a stored study; a larger --trials extends one that is finished."""
    from mlgsearch.study.launch import resume as start  # loads torch and Ray

    engine = open_engine(storage, must_exist=True)
    with _driving(address, max_parallel, as_json) as (watch, options):
        outcome = start(name, engine, watch, n_trials=trials, options=options)
    _end(outcome, engine, storage, as_json)


@app.command("list")
def list_studies(storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> None:
    """List the stored studies."""
    engine, store = _open(storage)
    rows = []
    for study in store.studies():
        holder = leases.current(engine, study.name)
        trials = store.trials(study.name)
        rows.append(study_row(study, trials, holder, store.last_activity(study.name)))
        if as_json:
            print_json(
                {
                    "study": study.name,
                    "n_trials": study.n_trials,
                    "states": {s.value: n for s, n in store.state_counts(study.name).items()},
                    "hypervolume": front_hypervolume(trials, study.objectives),
                    "driver": None if holder is None else f"{holder.host}:{holder.pid}",
                }
            )
    if as_json:
        return
    if rows:
        stdout_console().print(studies_table(rows))
    else:
        typer.echo("No studies yet; start one with: search.py launch studies/digits.yaml")


@app.command()
def show(
    name: Name,
    trial: Annotated[
        int | None, typer.Argument(metavar="[TRIAL]", help="Number of one trial.", min=0)
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Json = False,
) -> None:
    """Show a study and all its trials, or one trial with its settings and curve."""
    _, store = _open(storage)
    study = store.study(name)
    if trial is not None:
        record, epochs = store.trial(name, trial), store.epochs(name, trial)
        if as_json:
            print_json(detailed_trial_fields(record, epochs))
            return
        console = stdout_console()
        console.print(trials_table([record], set()))
        console.print(settings_table(record))
        if record.hyperparameters:
            console.print(f"hyperparameters: {json.dumps(dict(record.hyperparameters))}")
        if epochs:
            console.print(curve_table(epochs))
        stages = [f"{name} {seconds:.2f} s" for name, seconds in record.stage_seconds.items()]
        line = ", ".join([f"seed {record.seed}", f"attempts {record.attempts}", *stages])
        console.print(line, highlight=False, soft_wrap=True)
        return
    trials = store.trials(name)
    if as_json:
        for record in trials:
            print_json(trial_fields(record))
        return
    best = {record.number for record in front(trials, study.objectives)}
    console = stdout_console()
    teacher = "" if study.teacher_accuracy is None else f", teacher {study.teacher_accuracy:.2%}"
    console.print(
        f"[bold]{escape(name)}[/]: {len(trials)} of {study.n_trials} trials{teacher}, objectives "
        f"{', '.join(study.objectives)}",
        highlight=False,
    )
    console.print(trials_table(trials, best))


@app.command("front")
def print_front(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    format_: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.table,
    out: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
) -> None:
    """Give the Pareto front: students that no other beats in every objective."""
    _, store = _open(storage)
    study = store.study(name)
    trials = store.trials(name)
    if format_ is Format.html:
        path = out or Path(f"{study_directory(Path(), study).name}-pareto.html")
        _write_chart(study, store, path)
        typer.echo(str(path))
        return
    if format_ is Format.table and out is None:
        stdout_console().print(front_table(study, trials))
        return
    if format_ is Format.table:
        out_text = io.StringIO()
        console = Console(width=WHOLE_LINES, file=out_text)
        console.print(front_table(study, trials))
        text = out_text.getvalue()
    elif format_ is Format.json:
        rows = ",\n".join(json.dumps(row) for row in front_rows(trials, study.objectives))
        text = f"[\n{rows}\n]\n"
    else:
        text = to_csv(front_rows(trials, study.objectives))
    if out is None:
        typer.echo(text, nl=False)
    else:
        _write_text(out, text)


@app.command()
def delete(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a study: its rows, its checkpoints, Optuna's rows."""
    from mlgsearch.study.remove import remove  # loads Optuna

    _, store = _open(storage)
    study = store.study(name)
    total = sum(store.state_counts(name).values())
    if not yes:
        typer.confirm(f"Delete study {name!r} with its {total} trials and checkpoints?", abort=True)
    remove(study, open_engine(storage))
    shutil.rmtree(study_directory(runs_directory(storage), study), ignore_errors=True)
    typer.echo(f"deleted {name}")


app.command()(sizes)
app.command()(export)
app.command()(evaluate)


@app.callback(invoke_without_command=True)
def _global(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"mlgsearch {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


@contextlib.contextmanager
def _driving(
    address: str | None, max_parallel: int | None, as_json: bool
) -> "Iterator[tuple[Watch, Options]]":
    from mlgsearch.study.drive import Options  # loads torch and Ray

    # Where `module:callable` is looked for; Ray hands the path on to its workers.
    sys.path.insert(0, str(Path.cwd()))
    options = Options(address=address, max_parallel=max_parallel)
    out = sys.stdout
    try:
        # Our own lines alone are on stdout; what a library or a user's model prints is not.
        with contextlib.redirect_stdout(sys.stderr):
            if as_json:
                yield JsonEvents(out), options
            elif out.isatty():
                with LiveView(Console(file=out)) as view:
                    yield view, options
            else:
                yield PlainLines(out), options
    except KeyboardInterrupt:
        typer.echo("stopped at once; `resume` goes on from the last checkpoints", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _end(outcome: "Outcome", engine: Engine, storage: str, as_json: bool) -> None:
    study, store = outcome.study, ResultStore(engine)
    trials = store.trials(study.name)
    name = shlex.quote(study.name)
    known = (DEFAULT_STORAGE, os.environ.get("MLGSEARCH_STORAGE"))
    option = "" if storage in known else f" --storage {shlex.quote(safe_url(storage))}"
    if as_json:
        JsonEvents(sys.stdout).write(
            "finished" if outcome.is_finished else "stopped",
            study=study.name,
            states={s.value: n for s, n in store.state_counts(study.name).items()},
            front=[record.number for record in front(trials, study.objectives)],
            hypervolume=front_hypervolume(trials, study.objectives),
            queued=list(outcome.queued),
        )
    else:
        console = stdout_console()
        console.print(front_table(study, trials))
        if outcome.is_finished:
            path = study_directory(runs_directory(storage), study) / "pareto.html"
            _write_chart(study, store, path)
            best = front(trials, study.objectives)
            number = best[len(best) // 2].number if best else 0
            console.print(f"Pareto plot: {path}\n", highlight=False, soft_wrap=True)
            typer.echo(
                "Next:\n"
                f"  {_program()} show {name} {number}{option}\n"
                f"  {_program()} front {name} --format csv{option}\n"
                f"  {_program()} resume {name} --trials {study.n_trials * 2}{option}"
            )
        else:
            typer.echo(
                f"Stopped; {len(outcome.queued)} trials wait with their checkpoints. Go on with:\n"
                f"  {_program()} resume {name}{option}"
            )
    if not outcome.is_finished:
        raise typer.Exit(EXIT_INTERRUPTED)


def _open(storage: str) -> tuple[Engine, ResultStore]:
    engine = open_engine(storage, read_only=True)
    schema.check(engine)
    return engine, ResultStore(engine)


def _write_chart(study: StudyRecord, store: ResultStore, path: Path) -> None:
    figure = pareto_chart(
        store.trials(study.name),
        study.objectives,
        title=study.name,
        teacher_accuracy=study.teacher_accuracy,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_html(figure, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def _program() -> str:
    """Say how this program was called, so that a printed command can be pasted."""
    called = Path(sys.argv[0])
    if called.name != "search.py":
        return called.name
    python = Path(sys.executable)
    with contextlib.suppress(ValueError):
        python = python.relative_to(Path.cwd())
    return f"{python} {called}"

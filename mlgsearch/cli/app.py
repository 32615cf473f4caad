"""The commands of mlgsearch; each is a thin layer over `study` and `results`.

Commands that only read load neither torch nor Ray: those imports stand inside the commands that
train, so that `front` answers in half a second.
"""

import errno
import json
import logging
import os
import shutil
import sys
from typing import Annotated

import typer
from rich.markup import escape
from sqlalchemy.exc import DBAPIError

from mlgsearch import __version__
from mlgsearch.cli.choosing import choose_trial
from mlgsearch.cli.dashboard import dashboard
from mlgsearch.cli.driving import launch, resume
from mlgsearch.cli.evaluate import evaluate
from mlgsearch.cli.export import export
from mlgsearch.cli.front import print_front
from mlgsearch.cli.options import DEFAULT_STORAGE, Json, Name, Storage
from mlgsearch.cli.planning import plan
from mlgsearch.cli.printing.output import open_store, print_json, stdout_console
from mlgsearch.cli.printing.tables import (
    curve_table,
    lineage_lines,
    settings_table,
    studies_table,
    trials_table,
)
from mlgsearch.cli.progress.steady_stream import steady
from mlgsearch.cli.sensitivity import sensitivity
from mlgsearch.cli.sizes import sizes
from mlgsearch.cli.verifying import verify_trials
from mlgsearch.errors import UserError
from mlgsearch.paths import runs_directory, study_directory
from mlgsearch.results.analysis.front import front
from mlgsearch.results.database.engine import open_engine
from mlgsearch.results.database.outage import outage, refusal
from mlgsearch.results.read.study_list import study_rows
from mlgsearch.results.trial_fields import detailed_trial_fields, trial_fields

#: What a write to a stdout that is a file may meet.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

app = typer.Typer(
    help="Search per-layer multi-level generation (MLG) settings; get a Pareto front of students.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


app.command()(plan)
app.command()(sensitivity)
app.command()(launch)
app.command()(resume)


@app.command("list")
def list_studies(storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> None:
    """List the stored studies."""
    engine, _ = open_store(storage)
    studies = study_rows(engine)
    if as_json:
        for study in studies:
            print_json(
                {
                    "study": study.name,
                    "n_trials": study.n_trials,
                    "states": {state.value: count for state, count in study.counts.items()},
                    "hypervolume": study.hypervolume,
                    "driver": study.driver,
                }
            )
    elif studies:
        stdout_console().print(studies_table(studies))
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
    _, store = open_store(storage)
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
    if study.limits:
        said = ", ".join(f"{name} at most {most:,.6g}" for name, most in study.limits.items())
        console.print(f"Limits: {said}", highlight=False, soft_wrap=True)
    if study.ended is not None:
        console.print(f"Ended early: {escape(study.ended)}", highlight=False, soft_wrap=True)
    for line in lineage_lines(study):
        console.print(escape(line), highlight=False, soft_wrap=True)
    console.print(trials_table(trials, best))


app.command("front")(print_front)
app.command("choose")(choose_trial)
app.command("verify")(verify_trials)
app.command()(export)
app.command()(evaluate)


@app.command()
def delete(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a study: its rows, its checkpoints, Optuna's rows."""
    from mlgsearch.study.artifacts.store import artifacts_of  # loads fsspec
    from mlgsearch.study.remove import remove  # loads Optuna

    _, store = open_store(storage)
    study = store.study(name)
    total = sum(store.state_counts(name).values())
    if not yes:
        typer.confirm(f"Delete study {name!r} with its {total} trials and checkpoints?", abort=True)
    directory = study_directory(runs_directory(storage), study)
    artifacts = artifacts_of(study, runs_directory(storage))
    remove(study, open_engine(storage))
    shutil.rmtree(directory, ignore_errors=True)
    artifacts.delete()
    typer.echo(f"deleted {name}")


app.command()(sizes)
app.command()(dashboard)


@app.callback(invoke_without_command=True)
def _global(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"mlgsearch {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    sys.stderr = steady(sys.stderr)
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except DBAPIError as error:  # a driver outlasts it, but not while it prepares
        if (reason := outage(error)) is not None:
            typer.echo(f"error: the database does not answer: {reason}; try again later", err=True)
        elif (reason := refusal(error)) is not None:
            typer.echo(f"error: the database cannot be used: {reason}", err=True)
        else:
            raise
        sys.exit(2)
    except BrokenPipeError:
        _drop_stdout()
        sys.exit(0)
    except OSError as error:
        if error.filename is not None or error.errno not in _NO_ROOM:
            raise
        _drop_stdout()
        typer.echo(f"error: cannot write: {error.strerror}", err=True)
        sys.exit(2)


def _drop_stdout() -> None:
    """Let go of what stdout's buffer still holds, which would fail again at the very end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""`verify`: train trials again under other seeds, and read the test part."""

import sys
from collections import Counter
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import typer
from sqlalchemy import Engine

from mlgsearch.cli.commands.driving import Address, Parallel
from mlgsearch.cli.databases import open_to_write
from mlgsearch.cli.options import AllowCode, Json, Name, Storage
from mlgsearch.cli.printing.output import stdout_console
from mlgsearch.cli.printing.paste import command
from mlgsearch.cli.printing.verified import verified_table
from mlgsearch.cli.progress.choose_view import choose_view, stopped
from mlgsearch.cli.progress.verify_events import VerifyEvents
from mlgsearch.cli.progress.verify_lines import VerifyLines
from mlgsearch.cli.progress.verify_live import VerifyLive
from mlgsearch.errors import UserError
from mlgsearch.records import TrialState
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE
from mlgsearch.results.read.study_results import read_results, verified_students

if TYPE_CHECKING:
    from mlgsearch.study.verify.verify import Verified, VerifyView


def verify_trials(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    trials: Annotated[
        str | None,
        typer.Option(metavar="1,2,3", help="Numbers of the trials (default: the whole front)."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Epochs per training (default: the study's)."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Trainings per trial.")] = 3,
    address: Address = None,
    max_parallel: Parallel = None,
    allow_code: AllowCode = None,
    as_json: Json = False,
) -> None:
    """Train trials again under other seeds, then evaluate each on the test part once."""
    numbers = None if trials is None else _numbers(trials)
    engine = open_to_write(storage)

    from mlgsearch.study.verify.task import VerifyRequest
    from mlgsearch.study.verify.verify import verify  # loads torch and Ray

    request = VerifyRequest(numbers, epochs, seeds)
    with _view(as_json) as view:
        outcome = verify(
            name,
            engine,
            request,
            view,
            address=address,
            max_parallel=max_parallel,
            allowed_code=allow_code or (),
        )
    _end(outcome, engine, storage, as_json)


def _numbers(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise UserError(f"--trials {text}: write numbers of trials with commas, such as 1,2,3")
    return tuple(dict.fromkeys(map(int, words)))


def _view(as_json: bool) -> "AbstractContextManager[VerifyView]":
    return choose_view(VerifyEvents, VerifyLive, VerifyLines, as_json=as_json, again="verify")


def _end(outcome: "Verified", engine: Engine, storage: str, as_json: bool) -> None:
    study = outcome.study
    points = verified_students(engine, read_results(engine, study.name))
    states = Counter(run.state for run in outcome.runs)
    if as_json:
        VerifyEvents(sys.stdout).ended(study, outcome.runs, points)
    else:
        if points:
            stdout_console().print(verified_table(study, points))
        if states[TrialState.FAIL]:
            typer.echo(f"{states[TrialState.FAIL]} trainings failed; `verify` tries them again.")
        if outcome.is_finished:
            page = command(storage, "front", study.name, "--verified", "--format", "html")
            typer.echo(f"Next:\n  {page}")
        else:
            left = sum(not run.state.is_finished for run in outcome.runs)
            typer.echo(
                f"Stopped; {left} of {len(outcome.runs)} trainings are left. The same command "
                "goes on from their checkpoints."
            )
    if not outcome.is_finished:
        raise stopped(outcome.stopped_by)

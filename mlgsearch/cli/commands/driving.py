"""`launch` and `resume`: drive a study, show how it goes, and say what to do next."""

import contextlib
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from sqlalchemy import Engine

from mlgsearch.cli.databases import open_store, open_to_write
from mlgsearch.cli.options import AllowCode, Json, Name, Storage
from mlgsearch.cli.printing.output import stdout_console
from mlgsearch.cli.printing.paste import command
from mlgsearch.cli.printing.result_tables import front_table
from mlgsearch.cli.progress.choose_view import choose_view, stopped
from mlgsearch.cli.progress.events import JsonEvents
from mlgsearch.cli.progress.lines import PlainLines
from mlgsearch.cli.progress.live import LiveView
from mlgsearch.paths import cache_directory, runs_directory, study_directory
from mlgsearch.records import StudyRecord, TrialRecord
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE
from mlgsearch.results.read.study_results import front_trials, read_results
from mlgsearch.results.read.trial_page import all_trials
from mlgsearch.words import duration

if TYPE_CHECKING:
    from mlgsearch.study.drive import Outcome
    from mlgsearch.study.file.spec import StudySpec
    from mlgsearch.study.progress_view import ProgressView

Trials = Annotated[
    int | None,
    typer.Option("--trials", min=1, help="Total number of trials, including finished ones."),
]
Address = Annotated[
    str | None, typer.Option(metavar="RAY", help="A running Ray cluster: HOST:PORT, or auto.")
]
Parallel = Annotated[int | None, typer.Option(min=1, help="Maximum number of trials at once.")]
Grace = Annotated[
    float | None,
    typer.Option(
        min=2, metavar="SECONDS", help="Exit within this many seconds of the first stop signal."
    ),
]
NoStop = Annotated[
    bool, typer.Option("--no-stop", help="Drop search.stop for good, and run all trials.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be trained and for how long, then exit.")
]
AcceptChange = Annotated[
    bool, typer.Option("--accept-change", help="Continue despite changes, and record them.")
]


def launch(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Study file (YAML).")],
    storage: Storage = DEFAULT_STORAGE,
    trials: Trials = None,
    no_stop: NoStop = False,
    address: Address = None,
    max_parallel: Parallel = None,
    grace: Grace = None,
    accept_change: AcceptChange = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Start the study of a file, or continue it if it is stored with the same content."""
    from mlgsearch.study.file.study_file import load_study_file  # loads pydantic

    spec, source = load_study_file(file)
    if dry_run:
        if spec.search.warm_start:
            spec = _with_first_settings(spec, storage)
        _print_forecast(spec, trials, max_parallel, as_json=as_json)
        return

    from mlgsearch.study.drive import Options  # loads torch and Ray
    from mlgsearch.study.launch import launch as start

    engine = open_to_write(storage, must_exist=False)
    options = Options(
        address=address,
        max_parallel=max_parallel,
        accepts_change=accept_change,
        grace_s=grace,
    )
    with _view(as_json) as view:
        outcome = start(
            spec,
            source,
            engine,
            view,
            n_trials=trials,
            ignores_stop=no_stop,
            options=options,
        )
    _end(outcome, engine, storage, as_json)


def resume(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    trials: Trials = None,
    no_stop: NoStop = False,
    address: Address = None,
    max_parallel: Parallel = None,
    grace: Grace = None,
    accept_change: AcceptChange = False,
    allow_code: AllowCode = None,
    as_json: Json = False,
) -> None:
    """Continue a stored study; a larger --trials extends a finished one."""
    from mlgsearch.study.drive import Options  # loads torch and Ray
    from mlgsearch.study.launch import resume as start

    engine = open_to_write(storage)
    options = Options(
        address=address,
        max_parallel=max_parallel,
        accepts_change=accept_change,
        grace_s=grace,
    )
    with _view(as_json) as view:
        outcome = start(
            name,
            engine,
            view,
            n_trials=trials,
            ignores_stop=no_stop,
            allowed_code=allow_code or (),
            options=options,
        )
    _end(outcome, engine, storage, as_json)


def _with_first_settings(spec: "StudySpec", storage: str) -> "StudySpec":
    """Return the specification with the settings that it takes over; nothing is written."""
    from mlgsearch.study.file.search_spec import is_table
    from mlgsearch.study.warm_start import warm_started

    needs_none = all(map(is_table, spec.search.warm_start))
    return warm_started(spec, None if needs_none else open_store(storage)[1])


def _print_forecast(
    spec: "StudySpec", trials: int | None, max_parallel: int | None, *, as_json: bool
) -> None:
    from mlgsearch.study.dry_run import forecast  # loads torch
    from mlgsearch.study.launch import with_target

    if trials is not None:
        spec = with_target(spec, trials)
    with contextlib.redirect_stdout(sys.stderr):  # what libraries or a user's model print
        found = forecast(spec, cache_directory(), max_parallel)
    if as_json:
        JsonEvents(sys.stdout).write("dry_run", study=spec.name, **asdict(found))
        return
    teacher = (
        f"trained in about {duration(found.teacher_s)}" if found.teacher_s else "there already"
    )
    kinds = {"from the file": found.given, "planned": found.planned}
    kinds[f"proposed by {spec.search.sampler}"] = found.proposed
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    typer.echo(
        f"Study {spec.name}, nothing is trained or stored now:\n"
        f"  data      {found.train_samples:,} images to train on, {found.validation_samples:,} to "
        f"judge by, {found.classes} classes\n"
        f"  network   {spec.model.name}, {found.parameters:,} parameters, {found.layers} layers "
        "that can be compressed\n"
        f"  teacher   {teacher}\n"
        f"  trials    {spec.search.n_trials}: {listed}\n"
        f"  a trial   {found.epochs} epochs, about {duration(found.trial_s)}\n"
        f"  in all    about {duration(found.total_s)} on this machine, {found.at_once} at once"
    )


def _view(as_json: bool) -> "AbstractContextManager[ProgressView]":
    return choose_view(JsonEvents, LiveView, PlainLines, as_json=as_json, again="resume")


def _end(outcome: "Outcome", engine: Engine, storage: str, as_json: bool) -> None:
    results = read_results(engine, outcome.study.name)
    study, reached = outcome.study, results.reached
    if as_json:
        JsonEvents(sys.stdout).write(
            "finished" if outcome.is_finished else "stopped",
            study=study.name,
            states={state.value: count for state, count in reached.counts.items()},
            front=results.front_numbers,
            hypervolume=reached.hypervolume,
            queued=list(outcome.queued),
            ended=study.ended,
        )
    else:
        console = stdout_console()
        best = front_trials(engine, results)
        console.print(front_table(results, best))
        if outcome.is_finished:
            from mlgsearch.cli.printing.figures import study_chart, write_figure  # loads plotly

            path = study_directory(runs_directory(storage), study) / "pareto.html"
            write_figure(study_chart(study, list(all_trials(engine, study.name))), path)
            if study.ended is not None:
                console.print(
                    f"Ended after {study.n_trials} trials: {escape(study.ended)}",
                    highlight=False,
                    soft_wrap=True,
                )
            console.print(f"Pareto plot: {path}\n", highlight=False, soft_wrap=True)
            typer.echo("\n  ".join(["Next:", *_next_commands(study, best, storage)]))
        else:
            typer.echo(
                f"Stopped; {len(outcome.queued)} trials wait with their checkpoints. "
                f"Continue with:\n  {command(storage, 'resume', study.name)}"
            )
    if not outcome.is_finished:
        raise stopped(outcome.stopped_by)


def _next_commands(study: StudyRecord, best: Sequence[TrialRecord], storage: str) -> Iterator[str]:
    """Yield what one does with a finished study, around the middle of its front."""
    name = study.name
    if best:
        middle = best[len(best) // 2]
        ratio = math.ceil(1e4 * middle.sizes.memory_ratio) / 1e4
        yield command(storage, "show", name, middle.number)
        yield command(storage, "choose", name, "--max-ratio", f"{ratio:.4f}")
        yield command(storage, "verify", name)
        yield command(storage, "export", name, middle.number, "student.safetensors")
    if study.ended is not None:
        yield command(storage, "resume", name, "--no-stop")
    else:
        yield command(storage, "resume", name, "--trials", study.n_trials * 2)

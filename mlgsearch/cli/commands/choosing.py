"""`choose`: from a front to one trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.markup import escape

from mlgsearch.cli.databases import open_store
from mlgsearch.cli.options import Json, Name, Storage
from mlgsearch.cli.printing.expected import expected, what_is_expected
from mlgsearch.cli.printing.output import plain_table, print_json, stdout_console
from mlgsearch.cli.printing.paste import command
from mlgsearch.cli.printing.result_tables import kilobytes
from mlgsearch.cli.printing.verified import spread
from mlgsearch.errors import UserError
from mlgsearch.records import TrialRecord
from mlgsearch.results.analysis.choice import KILOBYTE, Limit, LimitKind
from mlgsearch.results.analysis.neighbours import Trade
from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE
from mlgsearch.results.formats import expectation_fields, verified_rows
from mlgsearch.results.read.study_choice import StudyChoice
from mlgsearch.results.read.study_results import StudyResults, read_results, verified_students
from mlgsearch.results.read.trial_page import some_trials
from mlgsearch.results.trial_fields import trial_fields
from mlgsearch.words import counted


def choose_trial(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    max_kb: Annotated[
        float | None,
        typer.Option(min=0, metavar="X", help="Maximum packed-file size in KB (1,000 bytes)."),
    ] = None,
    max_ratio: Annotated[
        float | None, typer.Option(min=0, metavar="R", help="Maximum memory ratio.")
    ] = None,
    max_ms: Annotated[
        float | None, typer.Option(min=0, metavar="MS", help="Maximum predicted latency.")
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(min=0, metavar="PCT", help="Most points expected below the teacher."),
    ] = None,
    at_least: Annotated[
        float | None,
        typer.Option(min=0, max=100, metavar="PCT", help="Minimum expected accuracy, in percent."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Choose a trial by expected accuracy: best within a size, or smallest that is enough."""
    limit = _limit(
        {
            "max_kb": max_kb,
            "max_ratio": max_ratio,
            "max_ms": max_ms,
            "within": within,
            "at_least": at_least,
        }
    )
    engine, _ = open_store(storage)
    results = read_results(engine, name)
    picked = StudyChoice.of(results, limit)
    choice = picked.choice
    numbers = [choice.trial, *(trade.number for trade in (choice.smaller, choice.larger) if trade)]
    trials = {trial.number: trial for trial in some_trials(engine, name, numbers)}
    verified = [
        point for point in verified_students(engine, results) if point.trial.number == choice.trial
    ]
    number = choice.trial
    export = command(storage, "export", name, number, f"student-{number}.safetensors")
    chosen = Chosen(picked, trials, verified, export)
    if as_json:
        print_json(choice_fields(chosen))
    else:
        _print(chosen)


@dataclass(frozen=True)
class Chosen:
    """A choice, and what is shown of it.

    ``trials`` are the chosen one and its neighbours, by number; ``verified`` is what is known of
    the chosen one, ``export`` the command that writes it.
    """

    picked: StudyChoice
    trials: Mapping[int, TrialRecord]
    verified: Sequence[VerifiedPoint]
    export: str

    @property
    def trial(self) -> TrialRecord:
        """The chosen one."""
        return self.trials[self.picked.choice.trial]

    @property
    def results(self) -> StudyResults:
        """The study."""
        return self.picked.results


def choice_fields(chosen: Chosen) -> dict[str, Any]:
    """Return a choice as an object that JSON can hold."""
    study, choice, limit = chosen.results.record, chosen.picked.choice, chosen.picked.limit
    expectation = chosen.results.expectations[choice.trial]
    return {
        "study": study.name,
        "limit": {limit.kind: limit.value},
        "limits": dict(study.limits),
        "why": chosen.picked.why,
        "teacher_accuracy": study.teacher_accuracy,
        "chosen": {**trial_fields(chosen.trial), **expectation_fields(expectation)},
        "tied_with": None if choice.tied_with is None else choice.tied_with.number,
        "smaller": _neighbour_fields(chosen, choice.smaller),
        "larger": _neighbour_fields(chosen, choice.larger),
        "verified": verified_rows(chosen.verified),
        "export": chosen.export,
    }


def _neighbour_fields(chosen: Chosen, trade: Trade | None) -> dict[str, Any] | None:
    if trade is None:
        return None
    other = chosen.trials[trade.number]
    return {
        "trial": other.number,
        "accuracy": other.accuracy,
        **expectation_fields(chosen.results.expectations[other.number]),
        "memory_ratio": other.sizes.memory_ratio,
        "packed_bytes": other.packed_bytes,
        "points_more": trade.points,
        "kb_more": None if trade.bytes_more is None else trade.bytes_more / KILOBYTE,
    }


def _limit(asked: Mapping[LimitKind, float | None]) -> Limit:
    given = [Limit(kind, value) for kind, value in asked.items() if value is not None]
    if len(given) != 1:
        raise UserError(
            "write one of --max-kb X, --max-ratio R, --max-ms MS, --within PCT and --at-least PCT, "
            f"got {len(given)} of them"
        )
    return given[0]


def _print(chosen: Chosen) -> None:
    out = stdout_console()
    choice, expectations = chosen.picked.choice, chosen.results.expectations
    out.print(
        f"[bold]Trial {choice.trial}[/] of {escape(chosen.results.record.name)}: "
        f"{chosen.picked.why}",
        highlight=False,
    )
    table = plain_table(
        ("", "trial", "accuracy", "expected", "memory ratio", "KB", "points for KB"),
        left=("", "expected", "points for KB"),
        caption=what_is_expected(expectations),
    )
    sides: tuple[tuple[str, Trade | None, int | None], ...] = (
        ("smaller", choice.smaller, choice.smaller.number if choice.smaller else None),
        ("chosen", None, choice.trial),
        ("larger", choice.larger, choice.larger.number if choice.larger else None),
    )
    for label, trade, number in sides:
        if number is not None:
            trial = chosen.trials[number]
            table.add_row(
                label,
                str(number),
                f"{trial.accuracy:.2%}",
                expected(expectations[number]),
                f"{trial.sizes.memory_ratio:.4f}",
                kilobytes(trial),
                "" if trade is None else _traded(trade),
                style="bold" if trade is None else None,
            )
    out.print(table)
    study, trial = chosen.results.record, chosen.trial
    if study.limits:
        kept = ", ".join(
            f"{name} {_figure(trial.objective_value(name))} of at most {_figure(most)}"
            for name, most in study.limits.items()
        )
        out.print(f"Limits of the study: {kept}", highlight=False)
    for point in chosen.verified:
        out.print(
            f"Verified on the test part: {spread(point)}, {counted(len(point.seeds), 'seed')} of "
            f"{point.epochs} epochs",
            highlight=False,
        )
    typer.echo(f"Export it:\n  {chosen.export}")


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.6g}"


def _traded(trade: Trade) -> str:
    if trade.bytes_more is None:
        return f"{trade.points:+.2f}"
    size = trade.bytes_more / KILOBYTE
    return f"{trade.points:+.2f} for {f'{size:+,.0f}' if abs(size) >= 100 else f'{size:+.3g}'} KB"

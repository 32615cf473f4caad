"""`choose`: from a front to one trial."""

from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from mlgsearch.cli.options import DEFAULT_STORAGE, Json, Name, Storage
from mlgsearch.cli.output import open_store, print_json, stdout_console
from mlgsearch.cli.paste import command
from mlgsearch.cli.tables import kilobytes
from mlgsearch.cli.verified import spread
from mlgsearch.errors import UserError
from mlgsearch.records import StudyRecord, TrialRecord
from mlgsearch.results.choice import KILOBYTE, Choice, Limit, choose
from mlgsearch.results.table import verified_rows
from mlgsearch.results.trial_fields import trial_fields
from mlgsearch.results.verification import VerifiedPoint, verified_points
from mlgsearch.results.verification_store import VerificationStore


def choose_trial(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    max_kb: Annotated[
        float | None,
        typer.Option(min=0, metavar="X", help="Most KB (1,000 bytes) of the packed file."),
    ] = None,
    max_ratio: Annotated[
        float | None, typer.Option(min=0, metavar="R", help="Largest memory ratio.")
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(min=0, metavar="PCT", help="Most points of accuracy below the teacher."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Choose one trial: the most accurate that is small enough, or the smallest accurate enough."""
    limit = _limit(max_kb, max_ratio, within)
    engine, store = open_store(storage)
    study, trials = store.study(name), store.trials(name)
    choice = choose(trials, limit, teacher_accuracy=study.teacher_accuracy)
    runs = VerificationStore(engine).verifications(name)
    verified = [
        point
        for point in verified_points(trials, runs, study.objectives)
        if point.trial.number == choice.trial.number
    ]
    number = choice.trial.number
    export = command(storage, "export", name, number, f"student-{number}.safetensors")
    if as_json:
        print_json(choice_fields(study, choice, limit, verified, export))
    else:
        _print(study, choice, limit, verified, export)


def choice_fields(
    study: StudyRecord,
    choice: Choice,
    limit: Limit,
    verified: list[VerifiedPoint],
    export: str,
) -> dict[str, Any]:
    """Give a choice as an object that JSON can hold."""
    return {
        "study": study.name,
        "limit": {limit.kind: limit.value},
        "why": _why(study, choice, limit),
        "teacher_accuracy": study.teacher_accuracy,
        "chosen": trial_fields(choice.trial),
        "smaller": _neighbour_fields(choice.trial, choice.smaller),
        "larger": _neighbour_fields(choice.trial, choice.larger),
        "verified": verified_rows(verified),
        "export": export,
    }


def _neighbour_fields(chosen: TrialRecord, other: TrialRecord | None) -> dict[str, Any] | None:
    if other is None:
        return None
    bytes_more = _bytes_more(chosen, other)
    return {
        "trial": other.number,
        "accuracy": other.accuracy,
        "memory_ratio": other.sizes.memory_ratio,
        "packed_bytes": other.packed_bytes,
        "points_more": _points_more(chosen, other),
        "kb_more": None if bytes_more is None else bytes_more / KILOBYTE,
    }


def _limit(max_kb: float | None, max_ratio: float | None, within: float | None) -> Limit:
    limits = [
        Limit("max_kb", max_kb) if max_kb is not None else None,
        Limit("max_ratio", max_ratio) if max_ratio is not None else None,
        Limit("within", within) if within is not None else None,
    ]
    given = [limit for limit in limits if limit is not None]
    if len(given) != 1:
        raise UserError(
            f"write one of --max-kb X, --max-ratio R and --within PCT, got {len(given)} of them"
        )
    return given[0]


def _why(study: StudyRecord, choice: Choice, limit: Limit) -> str:
    value = f"{limit.value:g}"
    if limit.kind == "within":
        assert study.teacher_accuracy is not None
        rule = (
            f"the smallest student at most {value} point{'' if limit.value == 1 else 's'} below "
            f"the teacher's {study.teacher_accuracy:.2%}"
        )
    elif limit.kind == "max_kb":
        rule = f"the most accurate student whose packed file has at most {value} KB"
    else:
        rule = f"the most accurate student with a memory ratio of at most {value}"
    return f"{rule} ({choice.fitting} of the {choice.total} on the front fit)"


def _print(
    study: StudyRecord, choice: Choice, limit: Limit, verified: list[VerifiedPoint], export: str
) -> None:
    out = stdout_console()
    chosen = choice.trial
    out.print(
        f"[bold]Trial {chosen.number}[/] of {escape(study.name)}: {_why(study, choice, limit)}",
        highlight=False,
    )
    table = Table(box=SIMPLE)
    for heading in ("", "trial", "accuracy", "memory ratio", "KB"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_column("points for KB")
    for label, trial in (
        ("smaller", choice.smaller),
        ("chosen", chosen),
        ("larger", choice.larger),
    ):
        if trial is not None:
            table.add_row(
                label,
                str(trial.number),
                f"{trial.accuracy:.2%}",
                f"{trial.sizes.memory_ratio:.4f}",
                kilobytes(trial),
                "" if trial is chosen else _trade(chosen, trial),
                style="bold" if trial is chosen else None,
            )
    out.print(table)
    for point in verified:
        n = len(point.seeds)
        out.print(
            f"Verified on the test part: {spread(point)}, {n} seed{'' if n == 1 else 's'} of "
            f"{point.epochs} epochs",
            highlight=False,
        )
    typer.echo(f"Take it home:\n  {export}")


def _trade(chosen: TrialRecord, other: TrialRecord) -> str:
    points, bytes_more = _points_more(chosen, other), _bytes_more(chosen, other)
    if bytes_more is None:
        return f"{points:+.2f}"
    size = bytes_more / KILOBYTE
    return f"{points:+.2f} for {f'{size:+,.0f}' if abs(size) >= 100 else f'{size:+.3g}'} KB"


def _points_more(chosen: TrialRecord, other: TrialRecord) -> float:
    assert chosen.accuracy is not None
    assert other.accuracy is not None
    return 100 * (other.accuracy - chosen.accuracy)


def _bytes_more(chosen: TrialRecord, other: TrialRecord) -> int | None:
    if chosen.packed_bytes is None or other.packed_bytes is None:
        return None
    return other.packed_bytes - chosen.packed_bytes

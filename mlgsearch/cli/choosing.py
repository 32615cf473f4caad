"""`choose`: from a front to one trial."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from mlgsearch.cli.options import DEFAULT_STORAGE, Json, Name, Storage
from mlgsearch.cli.printing.expected import expected, read_expectations, what_is_expected
from mlgsearch.cli.printing.output import open_store, print_json, stdout_console
from mlgsearch.cli.printing.paste import command
from mlgsearch.cli.printing.tables import kilobytes
from mlgsearch.cli.printing.verified import spread
from mlgsearch.errors import UserError
from mlgsearch.records import StudyRecord, TrialRecord
from mlgsearch.results.analysis.choice import KILOBYTE, Choice, Limit, choose
from mlgsearch.results.analysis.verification import VerifiedPoint, verified_points
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.results.formats import expectation_fields, verified_rows
from mlgsearch.results.trial_fields import trial_fields

if TYPE_CHECKING:
    from mlgsearch.results.analysis.expectation import Expectations


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
        typer.Option(min=0, metavar="PCT", help="Most points expected below the teacher."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Choose one trial by what to expect of it: the best within a size, or the smallest so good."""
    limit = _limit(max_kb, max_ratio, within)
    engine, store = open_store(storage)
    study, trials = store.study(name), store.trials(name)
    expectations = read_expectations(engine, study, trials)
    teacher = _Teacher.of(study, expectations)
    choice = choose(trials, limit, expectations, teacher_accuracy=teacher.accuracy)
    runs = VerificationStore(engine).verifications(name)
    verified = [
        point
        for point in verified_points(trials, runs, study.objectives)
        if point.trial.number == choice.trial.number
    ]
    number = choice.trial.number
    export = command(storage, "export", name, number, f"student-{number}.safetensors")
    if as_json:
        print_json(choice_fields(study, choice, limit, expectations, verified, export))
    else:
        _print(study, choice, limit, expectations, verified, export)


def choice_fields(
    study: StudyRecord,
    choice: Choice,
    limit: Limit,
    expectations: "Expectations",
    verified: list[VerifiedPoint],
    export: str,
) -> dict[str, Any]:
    """Return a choice as an object that JSON can hold."""
    chosen = choice.trial
    return {
        "study": study.name,
        "limit": {limit.kind: limit.value},
        "why": _why(study, choice, limit, expectations),
        "teacher_accuracy": study.teacher_accuracy,
        "chosen": {**trial_fields(chosen), **expectation_fields(expectations[chosen.number])},
        "tied_with": None if choice.tied_with is None else choice.tied_with.number,
        "smaller": _neighbour_fields(chosen, choice.smaller, expectations),
        "larger": _neighbour_fields(chosen, choice.larger, expectations),
        "verified": verified_rows(verified),
        "export": export,
    }


@dataclass(frozen=True)
class _Teacher:
    """What students are compared with; ``part`` says on which part where that is the test part."""

    accuracy: float | None
    part: str = ""

    @classmethod
    def of(cls, study: StudyRecord, expectations: "Expectations") -> Self:
        """Take the part that the expectations are of."""
        if expectations.is_of_test_part and study.teacher_test_accuracy is not None:
            return cls(study.teacher_test_accuracy, " on the test part")
        return cls(study.teacher_accuracy)


def _neighbour_fields(
    chosen: TrialRecord, other: TrialRecord | None, expectations: "Expectations"
) -> dict[str, Any] | None:
    if other is None:
        return None
    bytes_more = _bytes_more(chosen, other)
    return {
        "trial": other.number,
        "accuracy": other.accuracy,
        **expectation_fields(expectations[other.number]),
        "memory_ratio": other.sizes.memory_ratio,
        "packed_bytes": other.packed_bytes,
        "points_more": _points_more(chosen, other, expectations),
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


def _why(study: StudyRecord, choice: Choice, limit: Limit, expectations: "Expectations") -> str:
    value = f"{limit.value:g}"
    if limit.kind == "within":
        teacher = _Teacher.of(study, expectations)
        assert teacher.accuracy is not None
        rule = (
            f"the smallest student expected at most {value} point"
            f"{'' if limit.value == 1 else 's'} below the teacher's {teacher.accuracy:.2%}"
            f"{teacher.part}"
        )
    elif limit.kind == "max_kb":
        rule = f"the best student to expect whose packed file has at most {value} KB"
    else:
        rule = f"the best student to expect with a memory ratio of at most {value}"
    if choice.tied_with is not None:
        lead = _points_more(choice.trial, choice.tied_with, expectations)
        rule += (
            f", tied with the larger trial {choice.tied_with.number}, whose lead of {lead:.2f} "
            "points is within the noise"
        )
    return f"{rule} ({choice.fitting} of the {choice.total} on the front fit)"


def _print(
    study: StudyRecord,
    choice: Choice,
    limit: Limit,
    expectations: "Expectations",
    verified: list[VerifiedPoint],
    export: str,
) -> None:
    out = stdout_console()
    chosen = choice.trial
    why = _why(study, choice, limit, expectations)
    out.print(
        f"[bold]Trial {chosen.number}[/] of {escape(study.name)}: {why}",
        highlight=False,
    )
    table = Table(box=SIMPLE, caption=what_is_expected(expectations), caption_justify="left")
    for heading in ("", "trial", "accuracy", "expected", "memory ratio", "KB"):
        table.add_column(heading, justify="left" if heading in ("", "expected") else "right")
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
                expected(expectations[trial.number]),
                f"{trial.sizes.memory_ratio:.4f}",
                kilobytes(trial),
                "" if trial is chosen else _trade(chosen, trial, expectations),
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


def _trade(chosen: TrialRecord, other: TrialRecord, expectations: "Expectations") -> str:
    points = _points_more(chosen, other, expectations)
    bytes_more = _bytes_more(chosen, other)
    if bytes_more is None:
        return f"{points:+.2f}"
    size = bytes_more / KILOBYTE
    return f"{points:+.2f} for {f'{size:+,.0f}' if abs(size) >= 100 else f'{size:+.3g}'} KB"


def _points_more(chosen: TrialRecord, other: TrialRecord, expectations: "Expectations") -> float:
    """Return how many points more are expected of another trial."""
    return 100 * (expectations[other.number].accuracy - expectations[chosen.number].accuracy)


def _bytes_more(chosen: TrialRecord, other: TrialRecord) -> int | None:
    if chosen.packed_bytes is None or other.packed_bytes is None:
        return None
    return other.packed_bytes - chosen.packed_bytes

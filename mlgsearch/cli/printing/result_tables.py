"""What is stored, as tables for a terminal."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from mlgsearch.cli.printing.expected import expected, what_is_expected
from mlgsearch.cli.printing.output import plain_table
from mlgsearch.records import FIVE_NAMES, EpochRecord, StudyRecord, TrialRecord, TrialState
from mlgsearch.results.analysis.choice import smaller_ties
from mlgsearch.results.read.study_list import StudyRow
from mlgsearch.results.read.study_results import StudyResults
from mlgsearch.words import counted


def front_table(results: StudyResults, best: Sequence[TrialRecord]) -> Table:
    """Show the front, smallest student first, with what to expect of each beside what was seen.

    Args:
        results: of the study.
        best: the trials on its front, in this order.
    """
    study, expectations = results.record, results.expectations
    size = counted(len(best), "student")
    volume = results.reached.hypervolume
    ties = smaller_ties([trial.number for trial in best], expectations)
    caption = what_is_expected(expectations) if best else None
    if ties:
        caption = f"{caption}; ≈ NUMBER: this smaller student is as good within the noise"
    teacher = ""
    if study.teacher_accuracy is not None:
        teacher = f", teacher {study.teacher_accuracy:.2%}"
    table = plain_table(
        ("trial", "accuracy", "expected", "memory ratio", "smaller", "parameters", "KB", "macs"),
        left=("expected",),
        title=f"Pareto front of {escape(study.name)}: {size}, hypervolume {volume:.4f}{teacher}",
        caption=caption,
    )
    for trial in best:
        assert trial.accuracy is not None
        sizes = trial.sizes
        table.add_row(
            str(trial.number),
            f"{trial.accuracy:.2%}",
            expected(expectations.find(trial.number), ties.get(trial.number)),
            f"{sizes.memory_ratio:.4f}",
            f"{1 / sizes.memory_ratio:.1f}x",
            f"{sizes.parameters:,}",
            kilobytes(trial),
            f"{sizes.execution_macs:,}",
        )
    return table


def kilobytes(trial: TrialRecord) -> str:
    """Return the size of a trial's packed file in 1,000 bytes, or nothing before it is known."""
    return "" if trial.packed_bytes is None else f"{trial.packed_bytes / 1000:.1f}"


def studies_table(studies: Sequence[StudyRow]) -> Table:
    """Show all studies, of which there is one at least."""
    rows = [study_cells(study) for study in studies]
    table = plain_table(rows[0], left=("study", "driver"))
    for row in rows:
        table.add_row(*(escape(cell) for cell in row.values()))
    return table


def study_cells(study: StudyRow) -> dict[str, str]:
    """Describe a study in a row: cells by column."""
    reached = study.reached
    best, least = reached.best_accuracy, reached.smallest_memory_ratio
    return {
        "study": study.name,
        "complete": f"{reached.counts[TrialState.COMPLETE]}/{study.n_trials}",
        "pruned": str(reached.counts[TrialState.PRUNED]),
        "failed": str(reached.counts[TrialState.FAIL]),
        "running": str(study.running),
        "queued": str(study.queued),
        "best accuracy": "" if best is None else f"{best:.2%}",
        "smallest": "" if least is None else f"{least:.4f}",
        "hypervolume": f"{reached.hypervolume:.4f}",
        "last activity": age(study.last_activity),
        "driver": study.driver or "",
    }


def lineage_lines(study: StudyRecord) -> Iterator[str]:
    """Return what a study began with, and what changed since, each time that it was accepted."""
    for change in study.lineage:
        if "began_with" in change:
            sources = change["began_with"]
            assert isinstance(sources, list)
            yield f"Began with settings of {', '.join(sources)}"
            continue
        moment = datetime.fromisoformat(str(change["at"])).astimezone(UTC)
        yield (
            f"Changed after {change['trials']} trials, and accepted on {moment:%Y-%m-%d %H:%M} UTC:"
        )
        changes = change["changes"]
        assert isinstance(changes, list)
        yield from (f"  {line}" for line in changes)


def trials_table(trials: Sequence[TrialRecord], on_front: set[int]) -> Table:
    """Show every trial of a study; those on the front carry a star."""
    table = plain_table(
        ("trial", "state", "accuracy", "memory ratio", "smaller", "KB", "epochs", "note"),
        left=("state", "note"),
    )
    for trial in trials:
        note = trial.error or ""
        if trial.reused_from is not None:
            note = f"the same student as trial {trial.reused_from}"
        table.add_row(
            f"{'* ' if trial.number in on_front else ''}{trial.number}",
            trial.state.value,
            "" if trial.accuracy is None else f"{trial.accuracy:.2%}",
            f"{trial.sizes.memory_ratio:.4f}",
            f"{1 / trial.sizes.memory_ratio:.1f}x",
            kilobytes(trial),
            f"{trial.epochs_done}/{trial.epochs_wanted}",
            escape(note),
        )
    return table


def settings_table(trial: TrialRecord) -> Table:
    """Show a trial's canonical settings; a dash is a level that is absent."""
    table = plain_table(("layer", *FIVE_NAMES, "projection error"), left=("layer",))
    for layer, five in trial.settings.items():
        error = trial.projection_error.get(layer)
        table.add_row(
            escape(layer),
            *("-" if number == 0 else str(number) for number in five),
            "" if error is None else f"{error:.3f}",
        )
    return table


def curve_table(epochs: Sequence[EpochRecord]) -> Table:
    """Show a trial's learning curve."""
    table = plain_table(
        ("epoch", "train loss", "train acc", "val loss", "val acc", "learning rate", "seconds")
    )
    for epoch in epochs:
        table.add_row(
            str(epoch.epoch),
            f"{epoch.train_loss:.4f}",
            f"{epoch.train_accuracy:.2%}",
            f"{epoch.validation_loss:.4f}",
            f"{epoch.validation_accuracy:.2%}",
            f"{epoch.learning_rate:.2e}",
            f"{epoch.epoch_s:.2f}",
        )
    return table


def age(moment: datetime) -> str:
    """Return how long ago a moment was, as text."""
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"

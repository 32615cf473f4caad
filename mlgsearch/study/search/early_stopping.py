"""Early stopping in one study: its trials' records and epochs, seen by the rule."""

from collections.abc import Mapping, Sequence

from mlgsearch.records import EpochRecord, TrialRecord, TrialState
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.search.halving import Halving, Ladder

#: Objectives that a training measures, and what replaces them before.
_MEASURED = {"accuracy": None, "loss": None, "packed_bytes": "memory_ratio"}


class EarlyStopping:
    """Judges a study's trials; where the study file switches it off, all of them go on.

    Args:
        spec: the study's specification.
        records: its trials by number.
        store: holds their epochs.
    """

    def __init__(self, spec: StudySpec, records: Mapping[int, TrialRecord], store: ResultStore):
        wanted = spec.search.early_stopping
        self._ladder = (
            None if wanted is None else Ladder(Halving(**wanted.model_dump()), spec.training.epochs)
        )
        names = (_MEASURED.get(name, name) for name in spec.search.objectives)
        self._costs = sorted({name for name in names if name is not None}) or ["memory_ratio"]
        if self._ladder is None:
            return
        for number, curve in store.accuracies(spec.name, self._ladder.rungs).items():
            if records[number].state != TrialState.FAIL:
                for epoch, accuracy in curve.items():
                    self._ladder.put(number, self._costs_of(records[number]), epoch, accuracy)
        for record in records.values():
            if is_stopped(record):
                self._ladder.stop(record.number, record.epochs_done)

    @property
    def next_ready(self) -> int | None:
        """The lowest number of a stopped trial that is to go on, if there is any."""
        return None if self._ladder is None else self._ladder.next_ready

    def goes_on(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> bool:
        """Take note of epochs that a trial just finished, and judge it; one at its end goes on."""
        if self._ladder is None:
            return True
        costs = self._costs_of(record)
        for epoch in epochs:
            self._ladder.put(record.number, costs, epoch.epoch, epoch.validation_accuracy)
        first, last = epochs[0].epoch, epochs[-1].epoch
        return last >= record.epochs_wanted or self._ladder.goes_on(record.number, first, last)

    def stop(self, record: TrialRecord) -> None:
        """Note that a trial was stopped."""
        assert self._ladder is not None
        self._ladder.stop(record.number, record.epochs_done)

    def take_up(self, number: int) -> None:
        """Note that a stopped trial goes on."""
        assert self._ladder is not None
        self._ladder.take_up(number)

    def drop(self, number: int) -> None:
        """Note that a trial failed: it is no measure for others."""
        if self._ladder is not None:
            self._ladder.drop(number)

    def _costs_of(self, record: TrialRecord) -> list[float]:
        costs = [record.objective_value(name) for name in self._costs]
        return [cost for cost in costs if cost is not None]


def is_stopped(record: TrialRecord) -> bool:
    """Whether a trial was stopped early by us: not by other tools, not as another's duplicate."""
    return record.state == TrialState.PRUNED and record.error is None and record.reused_from is None

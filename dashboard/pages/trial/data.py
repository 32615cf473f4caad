"""What the page of a trial reads from the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.database import Database
from dashboard.query import Query
from mlgsearch.errors import UserError
from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord, VerificationRecord
from mlgsearch.results.analysis.neighbours import Neighbours, neighbours
from mlgsearch.results.analysis.uncertainty.expectation import Expectation
from mlgsearch.results.read.layer_grid import NUMBERS


@dataclass(frozen=True)
class TrialData:
    """A trial as it is now, with its study; ``around`` is None unless it is COMPLETE."""

    study: StudyRecord
    trial: TrialRecord
    epochs: Sequence[EpochRecord]
    runs: Sequence[VerificationRecord]
    around: Neighbours | None
    is_on_front: bool
    expectation: Expectation | None = None

    @classmethod
    def read(cls, database: Database, query: Query) -> "TrialData":
        """Read what an address names.

        Raises:
            UserError: it names no number.
            StudyNotFoundError: there is no such study.
            TrialNotFoundError: it has no such trial.
        """
        name, number = _named(query)
        results = database.results(name)
        return cls(
            results.record,
            database.store.trial(name, number),
            database.store.epochs(name, number),
            [run for run in results.runs if run.trial == number],
            neighbours(results.columns, number),
            is_on_front=number in results.front_numbers,
            expectation=results.expectations.find(number),
        )

    def shown(self, scheme: str) -> str:
        """Return a text that differs when the page would."""
        return repr(
            (
                self.trial,
                len(self.epochs),
                self.around,
                self.is_on_front,
                self.expectation,
                scheme,
            )
        )


def layer_rows(database: Database, query: Query) -> list[dict[str, Any]]:
    """Return a trial's layers as rows of a table, in the network's order."""
    name, number = _named(query)
    study, trial = database.store.study(name), database.store.trial(name, number)
    records = {record.name: record for record in study.layers}
    rows = []
    for layer, five in trial.settings.items():
        record, bits = records.get(layer), trial.layer_bits.get(layer)
        rows.append(
            {
                "layer": layer,
                "shape": record.shape if record else None,
                **dict(zip(NUMBERS, five, strict=True)),
                "layer_bytes": None if bits is None else bits / 8,
                "bits_a_weight": bits / record.weights if record and bits is not None else None,
                "damage": trial.layer_damage.get(layer),
                "projection_error": trial.projection_error.get(layer),
            }
        )
    return rows


def epoch_rows(database: Database, query: Query) -> list[dict[str, Any]]:
    """Return a trial's epochs as rows of a table, first to last."""
    return [vars(epoch) for epoch in database.store.epochs(*_named(query))]


def run_rows(database: Database, query: Query) -> list[dict[str, Any]]:
    """Return what `verify` found of a trial as rows of a table."""
    name, number = _named(query)
    return [
        vars(run) | {"state": run.state.value}
        for run in database.verifications.verifications(name)
        if run.trial == number
    ]


def _named(query: Query) -> tuple[str, int]:
    number = query.integer("number")
    if number is None:
        raise UserError(
            f"{query.one('number')!r} is no number of a trial: write number=0 or more in the "
            "address, or choose a trial on its study's page"
        )
    return query.one("name"), number

"""The front as rows: for JSON, for CSV, for a table in the terminal."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlgsearch.records import TrialRecord
from mlgsearch.results.analysis.choice import smaller_ties
from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint
from mlgsearch.results.trial_fields import FURTHER, TRIAL_FIELDS, object_schema, trial_fields

if TYPE_CHECKING:
    from mlgsearch.results.analysis.uncertainty.expectation import (  # loads scipy
        Expectation,
        Expectations,
    )

#: The keys of a row, in order.
COLUMNS = (
    "trial",
    "accuracy",
    "expected_accuracy",
    "expected_low",
    "expected_high",
    "verified_seeds",
    "tied_with",
    "loss",
    "memory_ratio",
    "compression",
    "packed_bytes",
    "parameter_ratio",
    "generation_macs",
    "execution_macs",
    "bits",
    "parameters",
    "settings",
    "hyperparameters",
    "reused_from",
    *(measure.name for measure in FURTHER),
)

_FRACTION = {"minimum": 0, "maximum": 1}
_EXPECTED = {
    "expected_accuracy": {
        "type": ["number", "null"],
        **_FRACTION,
        "description": "of a new training on new images; of a verified student the mean on the "
        "test part",
    },
    "expected_low": {
        "type": ["number", "null"],
        **_FRACTION,
        "description": "a new training is above this with a probability of 95 %",
    },
    "expected_high": {
        "type": ["number", "null"],
        **_FRACTION,
        "description": "a new training is below this with a probability of 95 %",
    },
    "verified_seeds": {
        "type": ["integer", "null"],
        "minimum": 0,
        "description": "trainings that verified it, 0 where none did",
    },
}
_TIED_WITH = {
    "type": ["integer", "null"],
    "description": "the smallest student on the front that it leads by less than the noise",
}

#: The keys of a verified point's row, in order.
VERIFIED_COLUMNS = (
    "trial",
    "epochs",
    "n",
    "test_accuracy",
    "test_accuracy_std",
    "packed_accuracy",
    "validation_accuracy",
    "searched_accuracy",
    "front_probability",
    "memory_ratio",
    "compression",
    "packed_bytes",
    "parameter_ratio",
    "generation_macs",
    "execution_macs",
    "test_samples",
    "seeds",
    "settings",
    "hyperparameters",
)


def front_rows(trials: Sequence[TrialRecord], expectations: "Expectations") -> list[dict[str, Any]]:
    """Return the trials of a front, in their order, as rows that JSON can hold.

    ``accuracy`` is a fraction, as are the expected one and the ends of its interval,
    ``compression`` is 1 / memory ratio, ``packed_bytes`` the size of the packed file (None for a
    trial of an older version), ``settings`` maps a layer to its five numbers [B_in, B_out, q_basis,
    q_coeff_in, q_coeff_out], ``tied_with`` is as of `smaller_ties`.

    Args:
        trials: smallest student first.
        expectations: of their study.
    """
    ties = smaller_ties([trial.number for trial in trials], expectations)
    return [
        _row(trial, expectations.find(trial.number), ties.get(trial.number)) for trial in trials
    ]


def expectation_fields(found: "Expectation | None") -> dict[str, Any]:
    """Return an expectation as fields that JSON can hold; all None where nothing is expected."""
    return {
        "expected_accuracy": None if found is None else found.accuracy,
        "expected_low": None if found is None else found.low,
        "expected_high": None if found is None else found.high,
        "verified_seeds": None if found is None else found.seeds,
    }


def verified_rows(points: Iterable[VerifiedPoint]) -> list[dict[str, Any]]:
    """Return verified points as rows that JSON can hold.

    ``n`` counts the ``seeds``; ``searched_accuracy`` is what the search saw on the validation part,
    ``validation_accuracy`` the mean of the trainings that verified it.
    """
    return [_verified_row(point) for point in points]


def to_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """Write rows as CSV (RFC 4180) with a header; mappings and lists become JSON text.

    Text that a spreadsheet would run as a formula gets an apostrophe in front. Source: OWASP,
    "CSV Injection".
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in columns])
    return out.getvalue()


def front_schema() -> dict[str, Any]:
    """Return the JSON schema of a row of the front."""
    schemas: dict[str, Mapping[str, Any]] = {f.name: f.schema for f in TRIAL_FIELDS}
    schemas |= {
        **_EXPECTED,
        "tied_with": _TIED_WITH,
        "bits": {"type": "integer"},
        "parameters": {"type": "integer"},
    }
    schemas["accuracy"] = {**schemas["accuracy"], "type": "number"}  # only COMPLETE trials
    return object_schema(
        "A trial on the front, as of `front --format json`.",
        {name: schemas[name] for name in COLUMNS},
    )


def _row(
    trial: TrialRecord, expectation: "Expectation | None" = None, tied_with: int | None = None
) -> dict[str, Any]:
    values = {
        **trial_fields(trial),
        **expectation_fields(expectation),
        "tied_with": tied_with,
        "bits": trial.sizes.bits,
        "parameters": trial.sizes.parameters,
    }
    return {name: values[name] for name in COLUMNS}


def _verified_row(point: VerifiedPoint) -> dict[str, Any]:
    values = _row(point.trial) | {
        "epochs": point.epochs,
        "n": len(point.seeds),
        "test_accuracy": point.test_accuracy,
        "test_accuracy_std": point.test_std,
        "packed_accuracy": point.packed_accuracy,
        "validation_accuracy": point.validation_accuracy,
        "searched_accuracy": point.trial.accuracy,
        "front_probability": point.front_probability,
        "packed_bytes": point.packed_bytes,
        "test_samples": point.test_samples,
        "seeds": list(point.seeds),
    }
    return {name: values[name] for name in VERIFIED_COLUMNS}


def _cell(value: object) -> object:
    if isinstance(value, Mapping | list):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value if _is_number(value) else f"'{value}"
    return value


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True

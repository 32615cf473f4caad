"""The front as rows: for JSON, for CSV, for a table in the terminal."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlgsearch.records import TrialRecord
from mlgsearch.results.front import front

#: The keys of a row, in order.
COLUMNS = (
    "trial",
    "accuracy",
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
)


def front_rows(trials: Iterable[TrialRecord], objectives: Sequence[str]) -> list[dict[str, Any]]:
    """Give the front, smallest memory ratio first, as rows that JSON can hold.

    ``accuracy`` is a fraction, ``compression`` is 1 / memory ratio, ``packed_bytes`` the size of
    the packed file (None for a trial of an older version), ``settings`` maps a layer to its five
    numbers [B_in, B_out, q_basis, q_coeff_in, q_coeff_out].

    Raises:
        ValueError: as ``front``.
    """
    return [_row(trial) for trial in front(trials, objectives)]


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows of ``front_rows`` as CSV (RFC 4180) with a header; mappings become JSON text.

    Text that a spreadsheet would run as a formula gets an apostrophe in front. Source: OWASP,
    "CSV Injection".
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in COLUMNS])
    return out.getvalue()


def _row(trial: TrialRecord) -> dict[str, Any]:
    sizes = trial.sizes
    return {
        "trial": trial.number,
        "accuracy": trial.accuracy,
        "loss": trial.loss,
        "memory_ratio": sizes.memory_ratio,
        "compression": 1 / sizes.memory_ratio,
        "packed_bytes": trial.packed_bytes,
        "parameter_ratio": sizes.parameter_ratio,
        "generation_macs": sizes.generation_macs,
        "execution_macs": sizes.execution_macs,
        "bits": sizes.bits,
        "parameters": sizes.parameters,
        "settings": {layer: list(five) for layer, five in trial.settings.items()},
        "hyperparameters": dict(trial.hyperparameters),
        "reused_from": trial.reused_from,
    }


def _cell(value: object) -> object:
    if isinstance(value, Mapping):
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

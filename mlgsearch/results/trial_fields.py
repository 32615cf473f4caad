"""A trial's record as JSON, for scripts; the fields stand in docs/json.md."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mlgsearch.records import EpochRecord, TrialRecord


def to_json(content: Any) -> str:
    """Write JSON on one line; NaN and the infinities, which JSON does not have, become null."""
    return json.dumps(_finite(content), allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def trial_fields(record: TrialRecord) -> dict[str, Any]:
    """Give a trial's record as an object that JSON can hold."""
    sizes = record.sizes
    return {
        "trial": record.number,
        "state": record.state.value,
        "accuracy": record.accuracy,
        "loss": record.loss,
        "memory_ratio": sizes.memory_ratio,
        "compression": 1 / sizes.memory_ratio,
        "packed_bytes": record.packed_bytes,
        "parameter_ratio": sizes.parameter_ratio,
        "generation_macs": sizes.generation_macs,
        "execution_macs": sizes.execution_macs,
        "epochs_done": record.epochs_done,
        "epochs_wanted": record.epochs_wanted,
        "attempts": record.attempts,
        "reused_from": record.reused_from,
        "error": record.error,
        "settings": {name: list(five) for name, five in record.settings.items()},
        "hyperparameters": dict(record.hyperparameters),
    }


def detailed_trial_fields(record: TrialRecord, epochs: Sequence[EpochRecord]) -> dict[str, Any]:
    """Give all that is known of a trial as an object that JSON can hold."""
    return {
        **trial_fields(record),
        "epochs": [asdict(epoch) for epoch in epochs],
        "projection_error": dict(record.projection_error),
        "stage_seconds": dict(record.stage_seconds),
        "seed": record.seed,
        "versions": dict(record.versions),
        "teacher_hash": record.teacher_hash,
        "fingerprint": record.fingerprint,
    }

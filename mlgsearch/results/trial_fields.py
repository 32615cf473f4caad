"""A trial's record as JSON, for scripts; docs/json.md lists the fields."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlgsearch.records import MEASURES, EpochRecord, Measure, TrialRecord, TrialState


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


@dataclass(frozen=True)
class TrialField:
    """A field of a trial as scripts see it: its JSON schema, and where its value comes from."""

    name: str
    schema: Mapping[str, Any]
    value: Callable[[TrialRecord], Any]


def _field(
    name: str, types: str | list[str], value: Callable[[TrialRecord], Any], **schema: Any
) -> TrialField:
    return TrialField(name, {"type": types, **schema}, value)


_COUNT = {"minimum": 0}
_FRACTION = {"accuracy": {"minimum": 0, "maximum": 1}}


def _measure(measure: Measure) -> TrialField:
    return _field(
        measure.name,
        ["integer" if measure.is_integer else "number", "null"],
        lambda record: getattr(record, measure.name),
        **_FRACTION.get(measure.name, {}),
        description=measure.meaning,
    )


_MEASURED = {measure.name: _measure(measure) for measure in MEASURES}

#: Fields of every trial, in the order in which they are printed.
TRIAL_FIELDS = (
    _field("trial", "integer", lambda r: r.number, **_COUNT, description="its number, from 0"),
    _field("state", "string", lambda r: r.state.value, enum=list(TrialState)),
    _MEASURED.pop("accuracy"),
    _MEASURED.pop("loss"),
    _field(
        "memory_ratio",
        "number",
        lambda r: r.sizes.memory_ratio,
        description="bits against the uncompressed network's",
    ),
    _field(
        "compression",
        "number",
        lambda r: 1 / r.sizes.memory_ratio,
        description="1 / memory_ratio",
    ),
    _MEASURED.pop("packed_bytes"),
    _field(
        "parameter_ratio",
        "number",
        lambda r: r.sizes.parameter_ratio,
        description="stored numbers against the uncompressed network's",
    ),
    _field(
        "generation_macs",
        "integer",
        lambda r: r.sizes.generation_macs,
        description="multiply-accumulates to rebuild all weights once",
    ),
    _field(
        "execution_macs",
        "integer",
        lambda r: r.sizes.execution_macs,
        description="multiply-accumulates of one forward pass of one sample",
    ),
    _field("epochs_done", "integer", lambda r: r.epochs_done, **_COUNT),
    _field("epochs_wanted", "integer", lambda r: r.epochs_wanted, **_COUNT),
    _field("attempts", "integer", lambda r: r.attempts, **_COUNT),
    _field(
        "reused_from",
        ["integer", "null"],
        lambda r: r.reused_from,
        description="the trial that trained the same student, whose result this one shares",
    ),
    _field("error", ["string", "null"], lambda r: r.error, description="why it failed"),
    _field(
        "settings",
        "object",
        lambda r: {name: list(five) for name, five in r.settings.items()},
        description="layer name to [B_in, B_out, q_basis, q_coeff_in, q_coeff_out]; "
        "0 where a level is absent",
        additionalProperties={
            "type": "array",
            "items": {"type": "integer", "minimum": 0},
            "minItems": 5,
            "maxItems": 5,
        },
    ),
    _field(
        "hyperparameters",
        "object",
        lambda r: dict(r.hyperparameters),
        description="those that are searched, by their key in the study file",
        additionalProperties={"type": ["number", "string"]},
    ),
    *_MEASURED.values(),
)

#: Measures that have no place of their own above: the last fields of a trial, and of the front.
FURTHER = tuple(measure for measure in MEASURES if measure.name in _MEASURED)


def trial_fields(record: TrialRecord) -> dict[str, Any]:
    """Return a trial's record as an object that JSON can hold."""
    return {field.name: field.value(record) for field in TRIAL_FIELDS}


def further_measures(record: TrialRecord) -> dict[str, str]:
    """Return label and number, with its unit, of every measure of ``FURTHER`` that is known."""
    values = {measure: getattr(record, measure.name) for measure in FURTHER}
    return {
        measure.label: f"{value:,.6g} {measure.unit}".strip()
        for measure, value in values.items()
        if value is not None
    }


def object_schema(description: str, fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the JSON schema of an object that has exactly these fields."""
    return {
        "type": "object",
        "description": description,
        "properties": dict(fields),
        "required": list(fields),
        "additionalProperties": False,
    }


def detailed_trial_fields(record: TrialRecord, epochs: Sequence[EpochRecord]) -> dict[str, Any]:
    """Return all that is known of a trial as an object that JSON can hold."""
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

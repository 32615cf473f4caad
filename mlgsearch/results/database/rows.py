"""From records to rows and back."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import RowMapping

from mlgsearch.records import (
    MEASURES,
    EpochRecord,
    LayerRecord,
    PlannedStudent,
    Sizes,
    StudyRecord,
    TrialRecord,
    TrialState,
)

_SIZES = (
    "parameters",
    "bits",
    "parameter_ratio",
    "memory_ratio",
    "generation_macs",
    "execution_macs",
)
_MEASURED = (
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "learning_rate",
    "epoch_s",
)
_PLAIN_STUDY = (
    "name",
    "content_hash",
    "source",
    "n_trials",
    "teacher_hash",
    "teacher_accuracy",
    "teacher_test_accuracy",
    "validation_samples",
    "ended",
    "uncompressed",
)
_PLAIN = (
    "number",
    "fingerprint",
    "seed",
    "epochs_wanted",
    "epochs_done",
    "teacher_hash",
    "reused_from",
    "attempts",
    "error",
    "created_at",
    "finished_at",
)


def study_row(record: StudyRecord) -> dict[str, Any]:
    """Return the columns of ``mlg_study``, apart from the moments."""
    return {
        **{name: getattr(record, name) for name in _PLAIN_STUDY},
        "content": dict(record.content),
        "objectives": list(record.objectives),
        "versions": dict(record.versions),
        "hypervolume_reference": dict(record.hypervolume_reference),
        "layers": layer_rows(record.layers),
        "planned": planned_rows(record.planned),
        "data_hash": record.data_hash,
        "lineage": [dict(change) for change in record.lineage],
    }


def layer_rows(layers: Iterable[LayerRecord]) -> list[dict[str, Any]]:
    """Return what the column ``layers`` holds."""
    return [asdict(layer) for layer in layers]


def planned_rows(points: Iterable[PlannedStudent]) -> list[dict[str, Any]]:
    """Return what the column ``planned`` holds."""
    return [asdict(point) for point in points]


def study_record(row: RowMapping) -> StudyRecord:
    """Read a row of ``mlg_study``."""
    return StudyRecord(
        **{name: row[name] for name in _PLAIN_STUDY},
        content=row["content"],
        objectives=tuple(row["objectives"]),
        versions=row["versions"],
        created_at=row["created_at"],
        hypervolume_reference=row["hypervolume_reference"] or {},
        layers=tuple(LayerRecord(**layer) for layer in row["layers"] or ()),
        planned=tuple(PlannedStudent(**point) for point in row["planned"] or ()),
        data_hash=row["data_hash"] or "",
        lineage=tuple(row["lineage"] or ()),
    )


def trial_row(record: TrialRecord) -> dict[str, Any]:
    """Return the columns of ``mlg_trial``, apart from the study and ``updated_at``.

    A measure that is not finite becomes NULL, for databases differ on it.

    Raises:
        ValueError: the trial is COMPLETE without a finite accuracy and loss.
    """
    if record.state is TrialState.COMPLETE:
        for name in ("accuracy", "loss"):
            value = getattr(record, name)
            if value is None or not math.isfinite(value):
                raise ValueError(
                    f"trial {record.number} is COMPLETE with {name} {value!r}; "
                    "a trial without finite results is a FAIL"
                )
    return {
        **{name: getattr(record, name) for name in _PLAIN},
        **{name: getattr(record.sizes, name) for name in _SIZES},
        "state": record.state.value,
        "settings": {layer: list(five) for layer, five in record.settings.items()},
        "hyperparameters": dict(record.hyperparameters),
        **{measure.name: _finite(getattr(record, measure.name)) for measure in MEASURES},
        "projection_error": {k: _finite(v) for k, v in record.projection_error.items()},
        "stage_seconds": {k: _finite(v) for k, v in record.stage_seconds.items()},
        "versions": dict(record.versions),
        "layer_bits": dict(record.layer_bits),
        "layer_damage": dict(record.layer_damage),
    }


def trial_record(row: RowMapping) -> TrialRecord:
    """Read a row of ``mlg_trial``."""
    return TrialRecord(
        **{name: row[name] for name in _PLAIN},
        sizes=Sizes(**{name: row[name] for name in _SIZES}),
        state=TrialState(row["state"]),
        settings={layer: tuple(five) for layer, five in row["settings"].items()},
        hyperparameters=row["hyperparameters"],
        **{measure.name: row[measure.name] for measure in MEASURES},
        projection_error=_numbers(row["projection_error"]),
        stage_seconds=_numbers(row["stage_seconds"]),
        versions=row["versions"],
        layer_bits=row["layer_bits"] or {},
        layer_damage=row["layer_damage"] or {},
    )


def epoch_row(record: EpochRecord) -> dict[str, Any]:
    """Return the columns of ``mlg_epoch``, except the trial; what is not finite becomes NULL."""
    return {
        "epoch": record.epoch,
        **{name: _finite(getattr(record, name)) for name in _MEASURED},
    }


def epoch_record(row: RowMapping) -> EpochRecord:
    """Read a row of ``mlg_epoch``; NULL becomes NaN."""
    measured = {name: math.nan if row[name] is None else row[name] for name in _MEASURED}
    return EpochRecord(epoch=row["epoch"], **measured)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in values.items()}

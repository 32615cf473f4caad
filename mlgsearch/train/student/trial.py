"""One student's training as data: what is asked for, and what came of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.train.spec import LATER_OF_TEACHER, TrainSpec

#: Options of `quantisation` that came after the first studies were trained, with their defaults.
LATER: Mapping[str, float] = {"norm_bits": 32, "in_bits": 32, "noise_ratio": 1.0}


@dataclass(frozen=True)
class TrialJob:
    """A student to train.

    ``settings`` names every compressible layer; ``spec`` has this trial's hyperparameters in it.
    """

    settings: Mapping[str, LayerSetting]
    spec: TrainSpec

    @property
    def fingerprint(self) -> str:
        """See `fingerprint`."""
        return fingerprint(self.settings, self.spec)


@dataclass(frozen=True)
class TrialSummary:
    """What a training gave so far; see `mlgsearch.records.TrialRecord` for the fields."""

    epochs_done: int
    accuracy: float | None
    loss: float | None
    packed_bytes: int | None
    stage_seconds: Mapping[str, float]
    projection_error: Mapping[str, float]
    versions: Mapping[str, str]
    teacher_hash: str


def fingerprint(settings: Mapping[str, LayerSetting], spec: TrainSpec) -> str:
    """Hash canonical settings and all that determines the training, seed included.

    Equal fingerprints are equal trainings. Whether data or weights may be downloaded plays no part,
    nor does an option of `LATER` that is at its default: so a training of before it keeps its
    fingerprint.
    """
    content = {
        "settings": {name: setting.five for name, setting in settings.items()},
        "spec": {**spec.model_dump(mode="json"), "data": spec.data.content()},
    }
    options = content["spec"]["quantisation"]
    for name, default in LATER.items():
        if options[name] == default:
            del options[name]
    content["spec"]["training"] = spec.training.content()
    for name in (*LATER_OF_TEACHER, "download"):
        del content["spec"]["teacher"][name]
    content["spec"]["teacher"] |= spec.teacher.later()
    content["spec"]["teacher"]["training"] = spec.teacher.training.content()
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

"""What must be known of a study before its first trial."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlgsearch.mlg.network import NetworkShape
from mlgsearch.planning.activation_bits import ActivationPlan
from mlgsearch.planning.network_tables import Tables
from mlgsearch.records import PlannedStudent
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.progress_view import ProgressView
from mlgsearch.study.space.activation_table import open_activation_plan
from mlgsearch.study.space.layer_tables import needs_tables, open_tables
from mlgsearch.study.space.packed_sizes import PackedSizes
from mlgsearch.study.space.plan_report import predicted_front
from mlgsearch.study.space.possible_limits import require_possible
from mlgsearch.train.data.images import Images, effective_samples
from mlgsearch.train.device import best_device, emulates_bfloat16
from mlgsearch.train.loop.optim import too_short
from mlgsearch.train.teacher.prepared import prepare


@dataclass(frozen=True)
class Preparation:
    """What must be known before the first trial."""

    shape: NetworkShape
    teacher_hash: str
    teacher_accuracy: float
    tables: Tables | None = None
    planned: Sequence[PlannedStudent] = ()
    data_hash: str = ""
    validation_samples: int | None = None
    packed: PackedSizes | None = None
    teacher_recipe: str = ""
    activations: ActivationPlan | None = None


def prepare_study(spec: StudySpec, cache: Path, view: ProgressView) -> Preparation:
    """Load the data, get the teacher, compute its logits, and tables where something is planned."""
    train = spec.train_spec()
    device = best_device()
    trainings = {"training": train.training}
    if train.teacher.is_trained:
        trainings["teacher.training"] = train.teacher.training

    def look_at(shape: NetworkShape, images: Images) -> None:
        require_possible(spec, shape, images)
        if (uncompressed := shape.uncompressed()) is not None:
            view.notice(uncompressed)
        for key, training in trainings.items():
            if training.precision == "bfloat16" and emulates_bfloat16(device):
                view.notice(
                    f"{key}.precision: this machine's processor has no bfloat16 and emulates it, "
                    "up to nine times slower than float32: write float32, or train elsewhere"
                )

    prepared = prepare(
        train,
        cache,
        epochs=train.training.epochs,
        device=device,
        progress=view.preparing,
        look_at=look_at,
    )
    for text in prepared.images.notices:
        view.notice(f"data: {text}")
    shape = prepared.network_shape()
    for key, training in trainings.items():
        if (warning := too_short(training, prepared.training.count)) is not None:
            view.notice(f"{key}.optimiser: {warning}")
    searched = spec.space.hyperparameters
    if "training.optimiser" in searched and "training.learning_rate" not in searched:
        view.notice(
            "space.hyperparameters: training.optimiser is searched and training.learning_rate is "
            f"not, so every optimiser trains at {train.training.learning_rate:g}"
        )
    packed = PackedSizes(train, prepared.images.classes, prepared.images.input_shape)
    activations = open_activation_plan(spec, prepared, cache, packed, view.preparing)
    tables: Tables | None = None
    planned: Sequence[PlannedStudent] = ()
    if needs_tables(spec):
        tables = open_tables(spec, prepared, cache, view.preparing)
        planned = predicted_front(spec, prepared.images, tables, activations)
    teacher = prepared.teacher
    return Preparation(
        shape,
        prepared.teacher_hash,
        teacher.accuracy,
        tables,
        planned,
        prepared.data_hash,
        effective_samples(prepared.images, prepared.images.validation),
        packed,
        teacher.recipe,
        activations,
    )

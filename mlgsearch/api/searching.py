"""Search for small students of any task, in this process: no study file, no cluster."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from mlgsearch.api.callback import Callback
from mlgsearch.api.compressing import compress, student_network
from mlgsearch.api.frames import frame
from mlgsearch.api.metric import Metric
from mlgsearch.api.plan import Plan
from mlgsearch.api.planner import Planner, calibration_batches
from mlgsearch.api.student import Student
from mlgsearch.api.words import Section, study_spec
from mlgsearch.errors import MlgsearchError, UserError
from mlgsearch.mlg.penalty import Orthonormality
from mlgsearch.mlg.running.generation import generated_once
from mlgsearch.planning.answers import OutputKind
from mlgsearch.records import TrialState
from mlgsearch.results.analysis.front import is_non_dominated
from mlgsearch.train.data.randomness import seed_torch
from mlgsearch.train.device import memory_format
from mlgsearch.train.loop.average import adopt_average
from mlgsearch.train.loop.batch_norm import reestimate_batch_norm
from mlgsearch.train.loop.epoch import TrainingDivergedError
from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.loop.task_epoch import TaskLoss, pair, train_task_epoch
from mlgsearch.train.spec import OptimiserSpec

if TYPE_CHECKING:
    from pandas import DataFrame

#: Training batches that a new student's batch-norm statistics are estimated on.
_NORM_BATCHES = 16
_COLUMNS = (
    "trial",
    "state",
    "budget",
    "packed_bytes",
    "memory_ratio",
    "compression",
    "parameter_ratio",
    "generation_macs",
    "execution_macs",
    "damage",
    "epochs",
    "seconds",
    "error",
)
_EPOCH_COLUMNS = ("trial", "epoch", "train_loss", "learning_rate", "epoch_s")


#: Keys of `training` that a loop over somebody else's batches and loss does not look at.
_ELSEWHERE = {
    "batch_size": "the batches are those of `train`",
    "label_smoothing": "let `loss` smooth the labels",
}


class _MetricError(MlgsearchError):
    """The metric of a trained network is no finite number."""


class Batches(Protocol):
    """What can be gone through once per epoch and knows how many batches it has.

    A ``DataLoader`` is one, and so is a list.
    """

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class _Trial:
    """A student and its row, whether its training was finished or failed."""

    row: dict[str, Any]
    student: Student


class SearchResult:
    """The students that `search` trained.

    ``teacher_value`` is the metric of the model that was searched from.
    """

    def __init__(
        self,
        metric: Metric,
        teacher_value: float,
        trials: list[_Trial],
        epochs: list[dict[str, Any]],
    ) -> None:
        self.metric = metric
        self.teacher_value = teacher_value
        self._trials = trials
        self._epochs = epochs

    def trials(self) -> "DataFrame":
        """Return a row per student, in the order of the budgets; the metric has its own name."""
        columns = [*_COLUMNS[:2], self.metric.name, *_COLUMNS[2:]]
        return frame([trial.row for trial in self._trials], columns, index="trial")

    def front(self) -> "DataFrame":
        """Return the rows that no other beats in both metric and packed file, smallest first."""
        table = self.trials()
        done = table[table["state"] == TrialState.COMPLETE.value]
        values = done[[self.metric.name, "packed_bytes"]].to_numpy(dtype=np.float64)
        kept = is_non_dominated(values, [self.metric.larger_is_better, False])
        found: DataFrame = done[kept].sort_values("packed_bytes")
        return found

    def epochs(self) -> "DataFrame":
        """Return a row per trial and epoch: training loss, metric, learning rate, seconds."""
        columns = [*_EPOCH_COLUMNS[:3], self.metric.name, *_EPOCH_COLUMNS[3:]]
        return frame(self._epochs, columns, index="trial")

    def student(self, trial: int) -> Student:
        """Return the trained student of a trial.

        Raises:
            UserError: there is no such trial, or its training failed.
        """
        if not 0 <= trial < len(self._trials):
            raise UserError(f"trial {trial}: there are 0 to {len(self._trials) - 1}")
        found = self._trials[trial]
        if found.row["state"] != TrialState.COMPLETE.value:
            raise UserError(f"trial {trial} failed: {found.row['error']}")
        return found.student


def search(
    model: nn.Module,
    train: Batches,
    loss: TaskLoss,
    metric: Metric,
    *,
    budgets: Sequence[int] | int = 8,
    teacher: nn.Module | None = None,
    calibration: Tensor | Iterable[Any] | None = None,
    outputs: OutputKind = "classes",
    space: Section | None = None,
    quantisation: Section | None = None,
    limits: Mapping[str, float] | None = None,
    training: Section | None = None,
    seed: int = 0,
    architecture: str | Section | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    callbacks: Sequence[Callback] = (),
) -> SearchResult:
    """Train a planned student for each budget, one after another, and judge it by a metric.

    Any task whose network takes images and returns one tensor: segmentation, regression, and so on.
    Everything happens in this process, on the model's device, and nothing is stored; for
    classification on a data set, with a database, workers and a sampler, launch a `Study`. Weights,
    order of batches and results follow from ``seed``, where ``train`` draws from torch's generator
    as ``DataLoader`` does; that generator is afterwards as it was.

    Args:
        model: the trained network that students begin from; it stays as it is.
        train: batches of (images, targets), gone through once per epoch: a ``DataLoader``, a list.
        loss: called with a student's outputs, the targets, and the teacher's outputs; returns the
            mean over the samples.
        metric: judges students, after each epoch and at the end.
        budgets: bytes of the packed file, one student for each; or how many are spread from the
            smallest student to one that hardly loses anything.
        teacher: the network that students learn from, in place of ``model``.
        calibration: images for the plan, as in `plan`; without it those of the first batches.
        outputs: ``classes`` or ``values``, as in `plan`.
        space: keys of a study file's ``space``.
        quantisation: keys of a study file's ``quantisation``.
        limits: the most that a student may be, as in `plan`.
        training: keys of a study file's ``training``: ``epochs``, ``optimiser``, ``learning_rate``
            and so on, but ``batch_size`` and ``label_smoothing``, which are up to ``train`` and
            ``loss``.
        seed: of the students' trainings.
        architecture: as in `compress`, for the packed files.
        mean: as in `compress`, for the files.
        std: as in `compress`, for the files.
        callbacks: notified of every epoch and trial.

    Raises:
        UserError: an argument is wrong, or the model does not take the images.
        BudgetError: no network in range is as small as the smallest budget, or keeps the limits.
    """
    _check(training, metric, train)
    spec = study_spec("search", space=space, quantisation=quantisation, training=training)
    images = (pair(batch)[0] for batch in train) if calibration is None else calibration
    with torch.random.fork_rng():
        seed_torch(seed, 0)
        found = calibration_batches(images)
        planner = Planner(
            model,
            torch.cat(found),
            outputs=outputs,
            space=space,
            quantisation=quantisation,
            limits=limits,
            architecture=architecture,
            mean=mean,
            std=std,
        )
        plans = _plans(planner, budgets)
        frozen = student_network(teacher if teacher is not None else model)
        frozen.eval().requires_grad_(False)
        frozen.to(memory_format=memory_format(planner.input_shape))
        run = _Run(frozen, train, len(train), loss, metric, spec.training, callbacks)
        teacher_value = run.measured(frozen)
        for number, (budget, plan) in enumerate(plans):
            student = compress(model, plan)
            run.train(number, budget, plan, student, seed, spec.quantisation.orthonormality)
    return SearchResult(metric, teacher_value, run.trials, run.epochs)


def _check(training: Section | None, metric: Metric, train: Batches) -> None:
    for key, place in _ELSEWHERE.items():
        if training is not None and key in training:
            raise UserError(f"search: training.{key}: it has no effect here: {place}")
    if metric.name in {*_COLUMNS, *_EPOCH_COLUMNS}:
        raise UserError(f"metric.name: {metric.name!r} is the name of a column: choose another")
    if not len(train):
        raise UserError("train: it has no batches")


def _plans(planner: Planner, budgets: Sequence[int] | int) -> list[tuple[int | None, Plan]]:
    if not isinstance(budgets, Iterable):
        return [(None, plan) for plan in planner.front(budgets)]
    return [(budget, planner.within(budget)) for budget in budgets]


class _Run:
    """Trains one student after another, and keeps the rows of all."""

    def __init__(
        self,
        teacher: nn.Module,
        batches: Batches,
        steps: int,
        loss: TaskLoss,
        metric: Metric,
        training: OptimiserSpec,
        callbacks: Sequence[Callback],
    ) -> None:
        self.trials: list[_Trial] = []
        self.epochs: list[dict[str, Any]] = []
        self._teacher = teacher
        self._batches = batches
        self._steps = steps
        self._loss = loss
        self._metric = metric
        self._training = training
        self._callbacks = callbacks

    def measured(self, network: nn.Module) -> float:
        """Return the metric of a network, whose mode is afterwards as it was."""
        was_training = network.training
        network.eval()
        with torch.inference_mode(), generated_once(network):
            value = float(self._metric.measure(network))
        network.train(was_training)
        return value

    def train(
        self,
        number: int,
        budget: int | None,
        plan: Plan,
        student: Student,
        seed: int,
        penalty: float,
    ) -> None:
        """Train one student, and add its rows."""
        began = time.perf_counter()
        sizes = plan.sizes
        row: dict[str, Any] = {
            "trial": number,
            "state": TrialState.RUNNING.value,
            self._metric.name: None,
            "budget": budget,
            "packed_bytes": student.packed_bytes,
            "memory_ratio": sizes.memory_ratio,
            "compression": 1 / sizes.memory_ratio,
            "parameter_ratio": sizes.parameter_ratio,
            "generation_macs": sizes.generation_macs,
            "execution_macs": sizes.execution_macs,
            "damage": plan.damage,
            "epochs": 0,
            "seconds": 0.0,
            "error": None,
        }
        self._report(row)
        try:
            for epoch in self._trained(student, seed, penalty):
                epoch = {"trial": number, **epoch}
                self.epochs.append(epoch)
                row |= {"epochs": epoch["epoch"], self._metric.name: epoch[self._metric.name]}
                for callback in self._callbacks:
                    callback.on_epoch(number, epoch)
            row["state"] = TrialState.COMPLETE.value
        except (TrainingDivergedError, _MetricError) as error:
            row |= {"state": TrialState.FAIL.value, "error": str(error)}
        row["seconds"] = time.perf_counter() - began
        student.network.eval()
        self.trials.append(_Trial(row, student))
        self._report(row)

    def _trained(self, student: Student, seed: int, penalty: float) -> Iterator[dict[str, Any]]:
        """Train epoch by epoch; yield each epoch's row."""
        network, training, name = student.network, self._training, self._metric.name
        layout = memory_format(student.card.input_shape)
        optimiser = build_optimiser(network, training, student.projection_error)

        orthonormality = Orthonormality(network)

        def loss(outputs: Tensor, targets: Any, wanted: Tensor) -> Tensor:
            found = self._loss(outputs, targets, wanted)
            return found + penalty * orthonormality() if penalty else found

        seed_torch(seed, 0)
        self._reestimate(network, layout)
        for epoch in range(1, training.epochs + 1):
            began = time.perf_counter()
            seed_torch(seed, epoch)
            totals = train_task_epoch(
                network,
                self._teacher,
                optimiser,
                self._batches,
                training,
                loss,
                steps=self._steps,
                epoch=epoch,
                memory_format=layout,
            )
            if epoch == training.epochs and adopt_average(optimiser):
                self._reestimate(network, layout)
            value = self.measured(network)
            if not math.isfinite(value):
                raise _MetricError(f"metric {name} is {value} after epoch {epoch}")
            yield {
                "epoch": epoch,
                "train_loss": totals.loss,
                name: value,
                "learning_rate": totals.learning_rate,
                "epoch_s": time.perf_counter() - began,
            }

    def _reestimate(self, network: nn.Module, layout: torch.memory_format) -> None:
        device = next(network.parameters()).device
        first = islice(self._batches, _NORM_BATCHES)
        reestimate_batch_norm(
            network,
            (
                pair(batch)[0].to(device, torch.float32).contiguous(memory_format=layout)
                for batch in first
            ),
        )

    def _report(self, row: Mapping[str, Any]) -> None:
        for callback in self._callbacks:
            callback.on_trial(dict(row))

"""Which students `verify` trains again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlgsearch.errors import UserError
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import FiveNumbers, StudyRecord, TrialRecord, TrialState, VerificationRecord
from mlgsearch.results.analysis.front import front
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.space.space import Proposal
from mlgsearch.train.spec import TrainSpec
from mlgsearch.train.student.trial import TrialJob

#: What identifies one training of a study: trial, seed, epochs.
Key = tuple[int, int, int]

#: Seeds are below this, as in a study file.
_SEEDS = 2**63


@dataclass(frozen=True)
class VerifyRequest:
    """What to verify.

    ``trials`` are numbers, None for the whole front; ``epochs`` is the length of each training,
    None for the study's. Of the ``seeds`` trainings of a trial, number s (from 0) has the study's
    seed + 1 + s.
    """

    trials: tuple[int, ...] | None = None
    epochs: int | None = None
    seeds: int = 3


@dataclass(frozen=True)
class VerifyTask:
    """A student to train again: the trial's settings and hyperparameters, another seed.

    ``attempt`` is larger each time that it is given to a worker, so that a late one disturbs none.
    """

    trial: int
    seed: int
    epochs: int
    settings: Mapping[str, FiveNumbers]
    hyperparameters: Mapping[str, float | int | str]
    attempt: int = 1

    @property
    def key(self) -> Key:
        """What identifies it."""
        return self.trial, self.seed, self.epochs

    def job(self, base: TrainSpec) -> TrialJob:
        """Return the training; ``base`` is the study's."""
        settings = {name: LayerSetting.from_five(five) for name, five in self.settings.items()}
        train = Proposal(settings, dict(self.hyperparameters)).train_spec(base)
        training = train.training.model_copy(update={"epochs": self.epochs})
        return TrialJob(
            settings, train.model_copy(update={"seed": self.seed, "training": training})
        )

    @property
    def folder(self) -> str:
        """Name the folder, in its trial's, of its checkpoints and its packed file."""
        return f"verify-{self.epochs}-{self.seed}"

    def record(self, state: TrialState, epochs_done: int = 0, **found: Any) -> VerificationRecord:
        """Return what is known of it."""
        return VerificationRecord(
            self.trial, self.seed, self.epochs, state, epochs_done=epochs_done, **found
        )


def wanted_tasks(
    store: ResultStore, study: StudyRecord, spec: StudySpec, request: VerifyRequest
) -> list[VerifyTask]:
    """List the trainings that are asked for: all trials under one seed, then under the next.

    A trial that shares another's result represents that one; no student is listed twice.

    Raises:
        TrialNotFoundError: there is no such trial.
        UserError: a trial is not COMPLETE, or none is.
    """
    records = _chosen(store, study, request)
    return [
        VerifyTask(
            trial=record.number,
            seed=(spec.seed + 1 + number) % _SEEDS,
            epochs=request.epochs or spec.training.epochs,
            settings=record.settings,
            hyperparameters=record.hyperparameters,
        )
        for number in range(request.seeds)
        for record in records
    ]


def _chosen(store: ResultStore, study: StudyRecord, request: VerifyRequest) -> list[TrialRecord]:
    if request.trials is None:
        records = front(store.trials(study.name), study.objectives)
        if not records:
            raise UserError(f"study {study.name!r} has no COMPLETE trial yet: nothing to verify")
    else:
        records = [store.trial(study.name, number) for number in request.trials]
    for record in records:
        if record.state is not TrialState.COMPLETE:
            raise UserError(
                f"trial {record.number} of {study.name!r} is {record.state.value}: only a COMPLETE "
                "one is verified"
            )
    sources = [r.number if r.reused_from is None else r.reused_from for r in records]
    return [store.trial(study.name, number) for number in dict.fromkeys(sources)]

"""Records for tests, each field overridable."""

from dataclasses import replace
from typing import Any

from mlgsearch.records import (
    EpochRecord,
    Sizes,
    StudyRecord,
    TrialRecord,
    TrialState,
    VerificationRecord,
)
from mlgsearch.results.database.store import ResultStore


def a_study(name: str = "digits", **changes: Any) -> StudyRecord:
    record = StudyRecord(
        name=name,
        content={"zeta": [1, 2.5, None], "alpha": {"on": True, "text": "Grüße\n"}},
        content_hash="c0ffee",
        source="zeta: [1, 2.5, null]  # Ω\n",
        objectives=("accuracy", "memory_ratio"),
        n_trials=8,
        teacher_hash="beef",
        teacher_accuracy=0.975,
        versions={"torch": "2.14.1"},
    )
    return replace(record, **changes)


def begin_run(store: ResultStore, name: str = "digits", **facts: Any) -> None:
    """Begin a run with what the study's record has, but for some facts."""
    study = store.study(name)
    same: dict[str, Any] = {
        "content": study.content,
        "n_trials": study.n_trials,
        "data_hash": study.data_hash,
        "validation_samples": study.validation_samples,
        "teacher_hash": study.teacher_hash,
        "teacher_accuracy": study.teacher_accuracy,
    }
    store.begin_run(name, **(same | facts))


def some_sizes(memory_ratio: float = 0.05, **changes: Any) -> Sizes:
    sizes = Sizes(
        parameters=12_345,
        bits=int(memory_ratio * 1e10),
        parameter_ratio=0.4,
        memory_ratio=memory_ratio,
        generation_macs=6_000_000_000,
        execution_macs=7_000_000_000,
    )
    return replace(sizes, **changes)


def a_trial(number: int = 0, **changes: Any) -> TrialRecord:
    record = TrialRecord(
        number=number,
        state=TrialState.RUNNING,
        settings={"stem": (0, 0, 8, 0, 0), "layer1.0": (2, 44, 3, 6, 3)},
        hyperparameters={"learning_rate": 1e-3, "optimiser": "radam", "epochs": 10},
        fingerprint="f" * 64,
        seed=2**62 + number,
        sizes=some_sizes(),
        epochs_wanted=10,
    )
    return replace(record, **changes)


def a_complete(number: int, accuracy: float, memory_ratio: float, **changes: Any) -> TrialRecord:
    values = {
        "state": TrialState.COMPLETE,
        "accuracy": accuracy,
        "loss": 0.1,
        "epochs_done": 10,
        "sizes": some_sizes(memory_ratio),
    }
    return a_trial(number, **(values | changes))


def an_epoch(epoch: int, **changes: Any) -> EpochRecord:
    record = EpochRecord(
        epoch=epoch,
        train_loss=1 / epoch,
        train_accuracy=0.9,
        validation_loss=0.2,
        validation_accuracy=0.8,
        learning_rate=1e-3,
        epoch_s=1.5,
    )
    return replace(record, **changes)


def a_verification(
    trial: int = 0, seed: int = 1, test_accuracy: float | None = 0.9, **changes: Any
) -> VerificationRecord:
    record = VerificationRecord(
        trial=trial,
        seed=seed,
        epochs=10,
        state=TrialState.COMPLETE,
        epochs_done=10,
        validation_accuracy=0.91,
        test_accuracy=test_accuracy,
        packed_accuracy=test_accuracy,
        test_samples=270,
        packed_bytes=7_000,
        seconds=12.5,
        versions={"torch": "2.14.1"},
    )
    return replace(record, **changes)

"""One worker of `verify`, without Ray."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mlgsearch.errors import DiskFullError
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.paths import trial_directory
from mlgsearch.records import TrialState
from mlgsearch.study.artifacts.attempt_folder import last_attempt
from mlgsearch.study.cluster.worker import WorkerContext
from mlgsearch.study.verify.task import VerifyTask
from mlgsearch.study.verify.worker import PACKED, VerifyWorker
from mlgsearch.train.device import memory_format
from mlgsearch.train.files.packed_file import load_packed
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.teacher.prepared import Prepared
from tests.full_disk import full_disk
from tests.study.verifiable import prepared, spec


@pytest.fixture(scope="module")
def common(cache: Path) -> Prepared:
    return prepared(cache)


@pytest.fixture
def task(common: Prepared) -> VerifyTask:
    settings = uniform_settings(common.network_shape(), (2, 8, 4, 6, 4))
    return VerifyTask(4, 6, 2, {name: s.five for name, s in settings.items()}, {})


class Worker(VerifyWorker):
    """A worker with a folder of its own."""

    def __init__(self, cache: Path, folder: Path):
        train = spec().train_spec().model_dump(mode="json")
        self.folder = folder
        super().__init__(WorkerContext(train, str(cache), str(folder), 1).to_text())

    def events(self, task: VerifyTask) -> list[tuple[str, int | None]]:
        lines = (
            (trial_directory(self.folder, task.trial) / task.folder / "events.jsonl")
            .read_text()
            .splitlines()
        )
        events = [json.loads(line) for line in lines]
        return [(event["event"], event.get("epoch", event.get("epochs_done"))) for event in events]


@pytest.fixture
def worker(common: Prepared, cache: Path, tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(cache, tmp_path)
    yield worker
    worker._close()


def test_a_worker_elsewhere_goes_on_from_what_was_published(
    cache: Path, task: VerifyTask, tmp_path: Path
) -> None:
    store = f"file://{tmp_path}/store"
    context = WorkerContext(spec().train_spec().model_dump(mode="json"), str(cache), store, 1)
    workers = [VerifyWorker(context.to_text()) for _ in range(2)]
    tasks = [task, replace(task, attempt=task.attempt + 1)]
    records = [worker.step(its) for worker, its in zip(workers, tasks, strict=True)]
    assert [record.epochs_done for record in records] == [1, 2]
    assert records[1].state is TrialState.COMPLETE
    (packed,) = tmp_path.glob(f"store/*/{task.folder}/attempt-*/{PACKED}")
    assert packed.stat().st_size == records[1].packed_bytes
    workers[0]._close()


def test_a_step_is_an_epoch_and_the_last_one_reads_the_test_part(
    worker: Worker, task: VerifyTask, common: Prepared, tmp_path: Path
) -> None:
    first, last = worker.step(task), worker.step(task)
    assert (first.state, first.epochs_done, first.test_accuracy) == (TrialState.RUNNING, 1, None)
    assert (last.trial, last.seed, last.epochs) == task.key
    assert (last.state, last.epochs_done, last.error) == (TrialState.COMPLETE, 2, None)
    alone = StudentTraining(common, task.job(common.spec))
    validation = [alone.run_epoch().validation_accuracy for _ in range(2)]
    assert [first.validation_accuracy, last.validation_accuracy] == validation
    images = common.images
    layout = memory_format(images.input_shape)
    test = HeldOutPart(images, images.test, torch.device("cpu"))
    assert last.test_accuracy == test.evaluate(alone.network, layout)[1]
    assert last.test_samples == len(images.test)
    path = last_attempt(trial_directory(tmp_path, task.trial) / task.folder) / PACKED
    assert last.packed_bytes == path.stat().st_size
    assert last.packed_accuracy == test.evaluate(load_packed(path), layout)[1]
    assert last.seconds is not None
    assert last.seconds > 0
    assert last.versions["torch"] == torch.__version__.split("+")[0]


def test_another_seed_is_another_training(worker: Worker, task: VerifyTask) -> None:
    other = replace(task, seed=7)
    first, second = worker.step(task), worker.step(other)
    assert second.seed == 7
    assert first.epochs_done == second.epochs_done == 1
    assert worker._training is not None
    assert worker._training.job.spec.seed == 7


def test_a_stopped_training_goes_on_from_its_checkpoint(
    worker: Worker, task: VerifyTask, cache: Path, tmp_path: Path
) -> None:
    worker.step(task)
    once = Worker(cache, tmp_path).step(task)
    assert once.state is TrialState.COMPLETE
    # Killed after its last epoch, it has only the test part left to read.
    again = Worker(cache, tmp_path).step(task)
    assert replace(again, seconds=0.0) == replace(once, seconds=0.0)
    assert worker.events(task) == [
        *[("began", 0), ("epoch", 1)],
        *[("began", 1), ("epoch", 2), ("finished", None)],
        *[("began", 2), ("finished", None)],
    ]


def test_every_write_may_find_the_disk_full_and_nothing_half_is_taken(
    worker: Worker, task: VerifyTask, tmp_path: Path
) -> None:
    """The disk is full from the n-th step of writing on, for every n; then there is room."""
    undisturbed = worker.step(replace(task, trial=100, epochs=1))
    for failing in range(1, 50):
        here = replace(task, trial=failing, epochs=1)
        with full_disk(failing) as disk, suppress(DiskFullError):
            worker.step(here)
        if not disk.is_full:
            break
        assert not list(tmp_path.rglob("*.tmp"))
        again = worker.step(replace(here, attempt=2))
        assert replace(again, trial=100, seconds=0.0) == replace(undisturbed, seconds=0.0)
    assert 5 < failing < 49  # folders, the log, the checkpoint, the packed file


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"settings": {}}, "has no setting"),
        ({"hyperparameters": {"training.learning_rate": 1e30}}, "epoch 1"),
    ],
)
def test_a_failure_is_a_record_and_the_worker_lives_on(
    worker: Worker, task: VerifyTask, change: dict[str, Any], said: str
) -> None:
    record = worker.step(replace(task, seed=8, **change))
    assert (record.state, record.seed) == (TrialState.FAIL, 8)
    assert said in (record.error or "")
    assert worker.step(task).state is TrialState.RUNNING


def test_any_other_error_is_a_record_with_its_place(
    worker: Worker, task: VerifyTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: StudentTraining) -> None:
        raise RuntimeError("a kernel that is not there")

    monkeypatch.setattr(StudentTraining, "run_epoch", broken)
    record = worker.step(task)
    assert record.state is TrialState.FAIL
    assert (record.error or "").startswith(
        "RuntimeError: a kernel that is not there (test_worker.py:"
    )

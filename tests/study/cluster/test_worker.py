import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.paths import trial_directory
from mlgsearch.records import FiveNumbers
from mlgsearch.study.artifacts import remote
from mlgsearch.study.cluster.worker import TrialWorker, WorkerContext
from mlgsearch.study.space.space import Proposal
from mlgsearch.train.spec import DataSpec, ModelSpec, OptimiserSpec, TeacherSpec, TrainSpec
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.student.trial import TrialJob
from mlgsearch.train.teacher.prepared import prepare

SPEC = TrainSpec(
    data=DataSpec(limit=200),
    model=ModelSpec(width=4),
    teacher=TeacherSpec(training=OptimiserSpec(epochs=1)),
    training=OptimiserSpec(epochs=2),
)


class Bench:
    """A study's cache and folder, and configurations of its trials."""

    def __init__(self, folder: Path):
        self.cache = folder / "cache"
        self.study = folder / "study"
        self.prepared = prepare(SPEC, self.cache, epochs=2, device=torch.device("cpu"))

    def config(
        self, number: int, five: FiveNumbers = (2, 8, 4, 6, 4), **changes: Any
    ) -> dict[str, Any]:
        settings = uniform_settings(self.prepared.network_shape(), five)
        context = WorkerContext(SPEC.model_dump(mode="json"), str(self.cache), str(self.study), 1)
        return {
            "context": context.to_text(),
            "number": number,
            "attempt": 1,
            "settings": json.dumps({name: setting.five for name, setting in settings.items()}),
            "hyperparameters": "{}",
            **changes,
        }

    def events(self, number: int) -> list[tuple[str, int | None]]:
        lines = (trial_directory(self.study, number) / "events.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        return [(event["event"], event.get("epoch", event.get("epochs_done"))) for event in events]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    torch.set_num_threads(1)
    return Bench(tmp_path_factory.mktemp("worker"))


@pytest.fixture
def begin() -> Iterator[Any]:
    workers: list[TrialWorker] = []

    def begin(config: dict[str, Any]) -> TrialWorker:
        workers.append(TrialWorker(config=config))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.cleanup()


def step(worker: TrialWorker) -> tuple[dict[str, Any], bool]:
    result = worker.step()
    return json.loads(result["payload"]), result["done"]


def numbers(payload: dict[str, Any]) -> list[int]:
    return [epoch["epoch"] for epoch in payload["epochs"]]


def test_a_trial_is_an_epoch_a_step_and_a_summary_at_the_end(bench: Bench, begin: Any) -> None:
    worker = begin(bench.config(0))
    payload, is_done = step(worker)
    assert (numbers(payload), is_done) == ([1], False)
    assert "summary" not in payload
    payload, is_done = step(worker)
    assert (numbers(payload), is_done) == ([2], True)
    summary = payload["summary"]
    assert summary["epochs_done"] == 2
    assert summary["accuracy"] == payload["epochs"][-1]["validation_accuracy"]
    assert summary["loss"] == payload["epochs"][-1]["validation_loss"]
    assert summary["teacher_hash"] == bench.prepared.teacher_hash
    assert summary["stage_seconds"]["train"] > 0
    assert bench.events(0) == [("began", 0), ("epoch", 1), ("epoch", 2), ("finished", None)]


def test_a_worker_is_used_again_and_gives_what_a_fresh_one_gives(bench: Bench, begin: Any) -> None:
    used = begin(bench.config(1))
    step(used)
    assert used.reset_config(bench.config(2))
    step(used)
    again, _ = step(used)
    fresh = begin(bench.config(3))
    step(fresh)
    once, _ = step(fresh)
    keys = ("accuracy", "loss", "projection_error")
    assert [again["summary"][key] for key in keys] == [once["summary"][key] for key in keys]


def test_a_killed_trial_goes_on_from_its_checkpoint(bench: Bench, begin: Any) -> None:
    step(begin(bench.config(4)))
    worker = begin(bench.config(4))
    payload, is_done = step(worker)
    # First it reports what was done before, so that a driver which missed some catches up.
    assert (numbers(payload), is_done) == ([1], False)
    assert bench.events(4)[-1] == ("began", 1)
    payload, is_done = step(worker)
    assert (numbers(payload), is_done) == ([2], True)
    assert bench.events(4) == [
        ("began", 0),
        ("epoch", 1),
        ("began", 1),
        ("epoch", 2),
        ("finished", None),
    ]
    # Killed after its last epoch, it has only the summary left to give.
    payload, is_done = step(begin(bench.config(4)))
    assert (numbers(payload), is_done) == ([1, 2], True)
    assert payload["summary"]["epochs_done"] == 2


def stored(bench: Bench, folder: Path) -> str:
    """Return a context whose artifacts are in a store, reached by its URL."""
    place = f"file://{folder}/store"
    return WorkerContext(SPEC.model_dump(mode="json"), str(bench.cache), place, 1).to_text()


def test_a_worker_elsewhere_goes_on_from_what_was_published(
    bench: Bench, begin: Any, tmp_path: Path
) -> None:
    context = stored(bench, tmp_path)
    payload, _ = step(begin(bench.config(0, context=context)))
    assert numbers(payload) == [1]
    elsewhere = begin(bench.config(0, context=context, attempt=2))
    payload, _ = step(elsewhere)
    assert numbers(payload) == [1]  # what the checkpoint knows
    payload, is_done = step(elsewhere)
    assert (numbers(payload), is_done) == ([2], True)
    (log,) = tmp_path.glob("store/000000/attempt-0002/events.jsonl")
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events == ["began", "epoch", "began", "epoch", "finished"]
    assert len(list(log.parent.glob("student-*.safetensors"))) == 2


def test_a_store_that_is_away_stops_the_study_and_fails_no_trial(
    bench: Bench, begin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = begin(bench.config(0, context=stored(bench, tmp_path)))
    step(worker)
    monkeypatch.setattr(remote, "_WAITS_S", ())
    (tmp_path / "store").rename(tmp_path / "away")
    (tmp_path / "store").write_text("")
    payload, is_done = step(worker)
    assert is_done
    assert "error" not in payload
    assert "resources.artifact_path: writing failed at file://" in payload["disk_full"]


def test_hyperparameters_reach_the_training(bench: Bench, begin: Any) -> None:
    searched = {"training.learning_rate": 0.125, "training.schedule": "constant"}
    payload, _ = step(begin(bench.config(5, hyperparameters=json.dumps(searched))))
    assert payload["epochs"][0]["learning_rate"] == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("settings", "said", "number"),
    [
        ({"nowhere": [0, 0, 8, 0, 0]}, "no layer is called 'nowhere'", 20),
        ({}, "has no setting", 30),
    ],
)
def test_a_users_mistake_is_a_result_not_an_exception(
    bench: Bench, begin: Any, settings: dict[str, list[int]], said: str, number: int
) -> None:
    worker = begin(bench.config(number, settings=json.dumps(settings)))
    payload, is_done = step(worker)
    assert is_done
    assert said in payload["error"]
    assert payload["epochs"] == []
    # The actor lives on.
    worker.reset_config(bench.config(number + 1))
    assert numbers(step(worker)[0]) == [1]


def test_any_other_error_is_a_result_with_its_place(
    bench: Bench, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: StudentTraining) -> None:
        raise RuntimeError("a kernel that is not there")

    worker = begin(bench.config(8))
    monkeypatch.setattr(StudentTraining, "run_epoch", broken)
    payload, is_done = step(worker)
    assert is_done
    assert payload["error"].startswith("RuntimeError: a kernel that is not there (test_worker.py:")


def test_a_cache_that_is_not_there_is_reported(bench: Bench, begin: Any, tmp_path: Path) -> None:
    context = WorkerContext(
        SPEC.model_dump(mode="json"), str(tmp_path / "none"), str(bench.study), 1
    )
    payload, _ = step(begin(bench.config(9, context=context.to_text())))
    assert "the teacher is not under" in payload["error"]


def test_the_context_reads_back() -> None:
    context = WorkerContext(SPEC.model_dump(mode="json"), "/cache", "/study", 2)
    again = WorkerContext.from_text(context.to_text())
    assert again == context
    assert TrainSpec.model_validate(again.train) == SPEC


def test_the_fingerprint_a_worker_trains_is_the_ledgers(bench: Bench) -> None:
    """A hyperparameter goes through JSON on its way; it must come out the same."""
    settings = uniform_settings(bench.prepared.network_shape(), (2, 8, 4, 6, 4))
    searched: dict[str, float | int | str] = {"training.learning_rate": 0.1 + 0.2}
    sent: dict[str, float | int | str] = json.loads(json.dumps(searched))
    jobs = [TrialJob(settings, Proposal(settings, h).train_spec(SPEC)) for h in (searched, sent)]
    assert jobs[0].fingerprint == jobs[1].fingerprint

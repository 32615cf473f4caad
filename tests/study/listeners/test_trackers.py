"""What trackers are sent. TensorBoard is real; the two others are stand-ins of their calls."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mlgsearch.errors import UserError
from mlgsearch.records import TrialState
from mlgsearch.study.file.spec import ListenersSpec
from mlgsearch.study.listeners.reporting import Listener, open_listeners
from tests.results.samples import a_complete, a_study, a_trial, an_epoch


def report(listener: Listener, folder: Path) -> None:
    packed = folder / "trial-000003.mlg"
    packed.write_bytes(b"codes")
    listener.begin(a_study(created_at=datetime(2026, 1, 2, tzinfo=UTC)))
    running = a_trial(3, hyperparameters={"training.learning_rate": 0.02})
    listener.epochs(running, [])
    listener.epochs(running, [an_epoch(1), an_epoch(2)])
    listener.end(a_complete(3, 0.9, 0.02, packed_bytes=1234), packed)
    listener.epochs(a_trial(4), [an_epoch(1)])
    listener.end(a_trial(4, state=TrialState.FAIL, error="out of memory"), None)
    listener.epochs(a_trial(5), [an_epoch(1)])
    listener.close()


def test_nothing_is_opened_that_is_not_named() -> None:
    assert open_listeners(ListenersSpec()) == []


def test_a_missing_package_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(
        UserError, match=r"listeners.wandb: needs .*pip install 'mlgsearch\[wandb\]"
    ):
        open_listeners(ListenersSpec(wandb="project"))


def test_tensorboard_has_a_folder_for_each_trial(tmp_path: Path) -> None:
    (listener,) = open_listeners(ListenersSpec(tensorboard=str(tmp_path / "events")))
    report(listener, tmp_path)
    place = tmp_path / "events" / "digits" / "000003"
    events = EventAccumulator(str(place))
    events.Reload()
    curve = events.Scalars("accuracy")
    assert [(point.step, round(point.value, 4)) for point in curve] == [(1, 0.8), (2, 0.8)]
    assert events.Scalars("packed_bytes")[0].value == 1234
    assert events.Scalars("memory_ratio")[0].value == pytest.approx(0.02)
    texts = events.Tags()["tensors"]
    assert {"settings/text_summary", "state/text_summary"} <= set(texts)
    assert (place / "trial-000003.mlg").read_bytes() == b"codes"
    assert (place.parent / "000005").is_dir()


class Calls:
    """Remembers calls of any method, and returns what `answers` has for it."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.summary: dict[str, Any] = {}
        self.made: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.made.append((name, args, kwargs))
            return self._answers.get(name)

        return call

    def of(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(args, kwargs) for made, args, kwargs in self.made if made == name]


def test_mlflow_has_an_experiment_for_the_study_and_a_run_for_each_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = SimpleNamespace(info=SimpleNamespace(run_id="r"))
    client = Calls(create_experiment="7", search_runs=[], create_run=run)
    entities = SimpleNamespace(Metric=_tuple, Param=_tuple, RunTag=_tuple)
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    tracking = SimpleNamespace(MlflowClient=lambda tracking_uri: client)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", tracking)
    monkeypatch.delitem(sys.modules, "mlgsearch.study.listeners.mlflow", raising=False)
    (listener,) = open_listeners(ListenersSpec(mlflow="http://x"))
    report(listener, tmp_path)
    assert client.of("create_experiment") == [(("digits",), {})]
    assert [kwargs["run_name"] for _, kwargs in client.of("create_run")] == [
        "digits 3",
        "digits 4",
        "digits 5",
    ]
    logged = [
        entry
        for _, kwargs in client.of("log_batch")
        for kind in ("metrics", "params")
        for entry in kwargs.get(kind, ())
    ]
    points = {(entry[0], entry[1], entry[3]) for entry in logged if len(entry) == 4}
    assert {("accuracy", 0.8, 2), ("packed_bytes", 1234.0, 10)} <= points
    assert all(abs(entry[2] / 1000 - time.time()) < 600 for entry in logged if len(entry) == 4)
    assert ("training.learning_rate", "0.02") in logged
    assert client.of("log_artifact") == [(("r", str(tmp_path / "trial-000003.mlg")), {})]
    assert [args for args, _ in client.of("set_terminated")] == [("r", "FINISHED"), ("r", "FAILED")]


def _tuple(*values: object) -> tuple[object, ...]:
    return values


def test_wandb_has_a_run_for_each_trial_that_a_later_driver_goes_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [Calls(), Calls(), Calls()]
    opened: list[dict[str, Any]] = []
    left = iter(runs)

    def init(**options: Any) -> Calls:
        opened.append(options)
        return next(left)

    artifact = Calls()
    module = SimpleNamespace(
        init=init, Settings=lambda **_: None, Artifact=lambda name, type: artifact
    )
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delitem(sys.modules, "mlgsearch.study.listeners.wandb", raising=False)
    (listener,) = open_listeners(ListenersSpec(wandb="edge"))
    report(listener, tmp_path)
    assert [options["name"] for options in opened] == ["digits 3", "digits 4", "digits 5"]
    assert all(o["project"] == "edge" and o["resume"] == "allow" for o in opened)
    assert len({options["id"] for options in opened}) == 3
    assert [kwargs["step"] for _, kwargs in runs[0].of("log")] == [1, 2]
    assert runs[0].summary["packed_bytes"] == 1234
    assert artifact.of("add_file") == [((str(tmp_path / "trial-000003.mlg"),), {})]
    assert [run.of("finish")[0][1] for run in runs] == [{"exit_code": 0}, {"exit_code": 1}, {}]

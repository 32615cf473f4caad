"""Nodes that are taken away with a notice, as spot markets, autoscalers and services do."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlgsearch.records import TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.study.cluster.notice import Notice, was_announced
from tests.results.leases import current, trials_of
from tests.study.driver import Driver
from tests.study.driver_process import FreshProcess
from tests.study.ray_nodes import RayNodes

EPOCHS = 60
#: No trial may lose a worker by its own fault.
STUDY = """
name: taken
data: {{name: digits, limit: 400}}
model: {{name: resnet8, width: 4}}
teacher: {{training: {{epochs: 2}}}}
training: {{epochs: {epochs}}}
space: {{kind: layerwise}}
search: {{n_trials: 1, sampler: random}}
resources: {{gpu: 0, max_parallel: 1, worker_retries: 0, artifact_path: "{store}"}}
"""


class Taken:
    """A study whose only trial is on a node that goes away, again and again."""

    def __init__(self, folder: Path, nodes: RayNodes):
        self._folder = folder
        text = STUDY.format(epochs=EPOCHS, store=folder / "store")
        (folder / "taken.yaml").write_text(text)
        words = ["--json", "--storage", self.url, "--address", nodes.address]
        self._driver = Driver(
            ["launch", "taken.yaml", *words],
            folder,
            folder / "cache",
            FreshProcess,
            nodes.environment,
        )

    @property
    def url(self) -> str:
        return f"sqlite:///{self._folder}/a.db"

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events that were read."""
        return self._driver.seen

    def read_until_epoch(self, epoch: int) -> None:
        """Read events up to one of that epoch or a later one."""
        self._driver.read_until(lambda event: event.get("epoch", 0) >= epoch)

    def read_until_notice(self, text: str) -> None:
        """Read events up to a notice that begins so."""
        self._driver.read_until(lambda event: event.get("text", "").startswith(text))

    def await_reason(self, text: str) -> None:
        """Wait until the lease says so of what the driver waits for, as the page reads it."""
        engine = open_engine(self.url)
        deadline = time.monotonic() + 60
        while not (
            (lease := current(engine, "taken")) is not None and lease.waits_for.startswith(text)
        ):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        engine.dispose()

    def read_to_end(self) -> None:
        """Read all events; its end must be good."""
        self._driver.read_to_end()
        assert self._driver.wait() == 0, self._driver.errors()

    def log(self) -> list[dict[str, Any]]:
        """Return the trial's own log."""
        (path,) = self._folder.glob("store/taken-*/000000/events.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]

    @property
    def epochs(self) -> list[int]:
        """The epochs that were trained, by the workers' own account."""
        return [event["epoch"] for event in self.log() if event["event"] == "epoch"]

    @property
    def pid(self) -> int:
        """The worker's process."""
        return int(self.log()[-1]["pid"])

    def kill(self) -> None:
        """End it where a test failed."""
        self._driver.kill_with_workers()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[RayNodes]:
    nodes = RayNodes(tmp_path / "home", num_cpus=0)
    yield nodes
    nodes.stop()


def test_a_trial_moves_on_from_nodes_that_are_taken_away(nodes: RayNodes, tmp_path: Path) -> None:
    """In turn: Ray's own command stopped as by kubelet, all processes as by systemd, the worker."""
    first = nodes.start(num_cpus=1)
    study = Taken(tmp_path, nodes)
    try:
        study.read_until_epoch(3)
        pids = [study.pid]
        nodes.add(num_cpus=1)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 1  # it waited for the trial to leave, and no longer
        trained = study.epochs
        assert trained == list(range(1, len(trained) + 1))
        study.read_until_epoch(len(trained) + 3)
        pids.append(study.pid)
        nodes.end_node_of(study.pid, notice_s=2)
        before = study.epochs[-1]
        study.read_until_notice("no node has room for a trial, which takes 1 CPU: what is left")
        study.await_reason("no node has room for a trial, which takes 1 CPU")
        nodes.add(num_cpus=1)
        study.read_until_epoch(before + 3)
        repeated = len(study.epochs) - len(set(study.epochs))
        assert repeated <= 1
        pids.append(study.pid)
        os.kill(study.pid, signal.SIGTERM)
        study.read_to_end()
        pids.append(study.pid)
    finally:
        study.kill()
    assert len(set(pids)) == 4
    assert len(study.epochs) - len(set(study.epochs)) == repeated
    reported = [(e["trial"], e["epoch"]) for e in study.events if e["event"] == "epoch"]
    assert reported == [(0, epoch) for epoch in range(1, EPOCHS + 1)]
    (trial,) = trials_of(study.url, "taken")
    assert (trial.state, trial.attempts) == (TrialState.COMPLETE, 4)


@pytest.mark.parametrize(
    ("said", "is_announced"),
    [
        ("the actor's node was terminated expectedly: received SIGTERM", True),
        ("the actor's node was preempted: Node received SIGTERM; draining", True),
        ("Worker exits with an exit code 1. The process receives a SIGTERM.", True),
        ("the actor's node was terminated unexpectedly: health check failed", False),
        ("Worker exits unexpectedly. Worker exits with an exit code 1.", False),
    ],
)
def test_a_death_that_was_announced_is_told_from_others(said: str, is_announced: bool) -> None:
    assert was_announced(said) == is_announced


def test_outside_of_rays_workers_signals_stay_as_they_are() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert not Notice(is_far=True).is_given
    assert signal.getsignal(signal.SIGTERM) == before

"""Who trains what when, with a Ray that is only played."""

from collections import defaultdict
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError

from mlgsearch.errors import DiskFullError
from mlgsearch.records import TrialState, VerificationRecord
from mlgsearch.study.cluster.capacity import Capacity
from mlgsearch.study.cluster.worker import WorkerContext
from mlgsearch.study.verify.pool import VerifyPool
from mlgsearch.study.verify.task import VerifyTask
from mlgsearch.study.verify.worker import VerifyWorker

TASKS = [VerifyTask(trial, 1, 2, {}, {}) for trial in range(4)]


class PlayedRay:
    """Trains an epoch a step at once; an actor dies at the given steps."""

    def __init__(self, deaths: dict[int, int]) -> None:
        self.deaths = deaths  # of a trial: how many of its workers die
        self.said = "the memory was full\nand more"
        self.actors = 0
        self.most_at_once = 0
        self._epochs: dict[int, int] = defaultdict(int)
        self.full: set[int] = set()  # trials that find no room
        self.attempts: list[tuple[int, int]] = []  # of trials, as their steps were begun

    def remote(self, worker: type | str, shipped: None = None) -> Any:
        """Make a class of actors of a class, and then an actor with its context."""
        return self if worker is VerifyWorker else PlayedActor(self)

    def options(self, **asked: float) -> "PlayedRay":
        assert asked == {"num_cpus": 1, "num_gpus": 0}
        return self

    def wait(self, steps: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        assert timeout < 1
        self.most_at_once = max(self.most_at_once, len(steps))
        return steps[:1], steps[1:]

    def get(self, step: tuple["PlayedActor", int]) -> VerificationRecord:
        actor, trial = step
        if actor.is_dead or self.deaths.get(trial, 0):
            if not actor.is_dead:
                self.deaths[trial] -= 1
            actor.is_dead = True
            raise RayActorError(error_msg=self.said)
        if trial in self.full:
            raise RayTaskError("step", "", DiskFullError("no space"))  # type: ignore[no-untyped-call]
        self._epochs[trial] += 1
        done = self._epochs[trial]
        state = TrialState.COMPLETE if done == 2 else TrialState.RUNNING
        return TASKS[trial].record(state, done)


class PlayedActor:
    def __init__(self, ray: PlayedRay) -> None:
        ray.actors += 1
        self.is_dead = False
        self.step = self
        self._ray = ray

    def remote(self, task: VerifyTask) -> tuple["PlayedActor", int]:
        self._ray.attempts.append((task.trial, task.attempt))
        return self, task.trial


class Reported:
    """Runs the tasks on a played Ray, and keeps what was reported."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **deaths: int) -> None:
        self.ray = PlayedRay({int(name[1:]): times for name, times in deaths.items()})
        self.patch = monkeypatch
        monkeypatch.setattr("mlgsearch.study.verify.pool.ray", self.ray)
        self.records: list[VerificationRecord] = []
        #: How often room was looked at.
        self.looks = 0

    def run(self, at_once: int, retries: int = 0, stop_after: int = 1000, tasks: int = 4) -> None:
        context = WorkerContext({}, "cache", "study", 1)

        def room() -> int:
            self.looks += 1
            return at_once

        pool = VerifyPool(context, Capacity(1, 0, at_once), room, retries)
        pool.run(TASKS[:tasks], self.records.append, lambda _: len(self.records) >= stop_after)

    def ended(self) -> list[tuple[int, str, str | None]]:
        return [(r.trial, r.state.value, r.error) for r in self.records if r.state.is_finished]


def test_tasks_begin_in_order_on_as_many_workers_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported = Reported(monkeypatch)
    reported.run(at_once=2)
    assert (reported.ray.actors, reported.ray.most_at_once) == (2, 2)
    begun = [r.trial for r in reported.records if r.epochs_done == 0]
    assert begun == [0, 1, 2, 3]
    assert sorted(reported.ended()) == [(trial, "COMPLETE", None) for trial in range(4)]
    assert [r.epochs_done for r in reported.records if r.trial == 2] == [0, 1, 2]


def test_room_is_looked_at_also_where_no_task_is_left_to_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last one may wait for a node, which is said by whoever looks."""
    reported = Reported(monkeypatch)
    reported.run(at_once=1, tasks=1)
    assert reported.looks == 2  # one epoch each


def test_a_worker_that_dies_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = Reported(monkeypatch, t1=2)
    reported.run(at_once=1, retries=2)
    assert reported.ended() == [(trial, "COMPLETE", None) for trial in range(4)]
    assert reported.ray.actors == 3
    # Each of its workers has an attempt of its own, so that a late one disturbs none.
    of_it = [attempt for trial, attempt in reported.ray.attempts if trial == 1]
    assert of_it == [1, 2, 3, 3]


def test_a_worker_whose_node_is_taken_away_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = Reported(monkeypatch, t1=9)
    reported.ray.said = "the actor's node was terminated expectedly: received SIGTERM"
    reported.run(at_once=1, retries=0)
    assert reported.ended() == [(trial, "COMPLETE", None) for trial in range(4)]
    assert (1, 10) in reported.ray.attempts


def test_a_task_whose_workers_keep_dying_fails_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported = Reported(monkeypatch, t1=99)
    reported.run(at_once=1, retries=1)
    assert reported.ended() == [
        (0, "COMPLETE", None),
        (1, "FAIL", "its worker died 2 times: the memory was full"),
        (2, "COMPLETE", None),
        (3, "COMPLETE", None),
    ]


def test_told_to_stop_it_begins_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = Reported(monkeypatch)
    reported.run(at_once=2, stop_after=3)
    assert [(r.trial, r.epochs_done) for r in reported.records] == [(0, 0), (1, 0), (0, 1), (1, 1)]


def test_on_a_full_disk_it_begins_nothing_more_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported = Reported(monkeypatch)
    reported.ray.full = {1}
    said = "trial 1, seed 1: no space. `verify` stopped; no results were lost"
    with pytest.raises(DiskFullError, match=said):
        reported.run(at_once=2)
    assert reported.ended() == [(0, "COMPLETE", None)]  # its step was in flight
    assert not [r for r in reported.records if r.trial > 1]


def test_told_to_stop_before_anything_began_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = Reported(monkeypatch)
    reported.run(at_once=2, stop_after=0)
    assert reported.records == []

"""Workers on Ray that train tasks step by step; one that dies is replaced."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from mlgsearch.study.cluster.ray_session import local_ray  # noqa: F401  # isort: skip  # sets Ray's environment first
import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

from mlgsearch.errors import ArtifactsAwayError, DiskFullError, UserError
from mlgsearch.records import TrialState, VerificationRecord
from mlgsearch.study.cluster.capacity import Capacity
from mlgsearch.study.cluster.exceptions import death_reason
from mlgsearch.study.cluster.notice import was_announced
from mlgsearch.study.cluster.object_store import Shipped
from mlgsearch.study.cluster.worker import WorkerContext
from mlgsearch.study.verify.task import Key, VerifyTask
from mlgsearch.study.verify.worker import VerifyWorker
from mlgsearch.words import counted

logger = logging.getLogger(__name__)

#: How often a signal or a lost lease is looked for.
_LOOK_S = 0.2


class VerifyPool:
    """As many workers as there is room for at the moment, each used for task after task.

    A task whose worker dies goes on, from its checkpoint, on a new one, ``retries`` times; those
    whose node was taken away with a notice are not counted.

    Args:
        context: what all workers get.
        capacity: what a task takes.
        room: called several times a second; returns how many may run now.
        retries: how often a task goes on.
        shipped: what the workers do not find on their disk.
    """

    def __init__(
        self,
        context: WorkerContext,
        capacity: Capacity,
        room: Callable[[], int],
        retries: int,
        shipped: Shipped | None = None,
    ):
        self._actor = ray.remote(VerifyWorker).options(num_cpus=capacity.cpu, num_gpus=capacity.gpu)
        self._context = context.to_text()
        self._shipped = shipped
        self._room = room
        self._retries = retries
        self._idle: list[Any] = []
        self._deaths: Counter[Key] = Counter()

    def run(
        self,
        tasks: Sequence[VerifyTask],
        report: Callable[[VerificationRecord], None],
        is_stopping: Callable[[int], bool],
    ) -> None:
        """Run tasks, in their order, until all have ended or a stop is requested.

        Args:
            tasks: what to train; none twice.
            report: called when a task begins, after each of its epochs, and when it ends.
            is_stopping: called several times a second with the number of tasks that run; once it
                says yes, no step is begun any more, and `run` returns after those in flight.

        Raises:
            DiskFullError: there was no room for a task's files; no step was begun after that.
            ArtifactsAwayError: the same, where the store of its files did not answer.
        """
        waiting = deque(tasks)
        trouble: UserError | None = None
        steps: dict[Any, tuple[Any, VerifyTask]] = {}  # by the reference of what a step will give
        while waiting or steps:
            if is_stopping(len(steps)) or trouble is not None:
                waiting.clear()
            count = self._room()  # says so where what runs waits for a node
            while waiting and len(steps) < count:
                task = waiting.popleft()
                report(task.record(TrialState.RUNNING))
                actor = self._idle.pop() if self._idle else self._begin()
                steps[actor.step.remote(task)] = actor, task
            if not steps:  # a stop was requested
                break
            done, _ = ray.wait(list(steps), timeout=_LOOK_S)
            for step in done:
                actor, task = steps.pop(step)
                try:
                    record = ray.get(step)
                except (RayActorError, OutOfMemoryError) as error:
                    if self._may_try_again(task, error):
                        waiting.appendleft(replace(task, attempt=task.attempt + 1))
                    else:
                        report(self._failure(task, error))
                    continue
                except RayTaskError as error:
                    if not isinstance(error.cause, DiskFullError | ArtifactsAwayError):
                        raise
                    trouble = _of_task(task, error.cause)
                    continue
                report(record)
                if record.state.is_finished:
                    self._idle.append(actor)
                elif not is_stopping(len(steps) + 1) and trouble is None:
                    steps[actor.step.remote(task)] = actor, task
        if trouble is not None:
            raise trouble

    def _begin(self) -> Any:
        return self._actor.remote(self._context, self._shipped)

    def _may_try_again(self, task: VerifyTask, error: Exception) -> bool:
        """Take note that a task's worker died; return whether another takes over."""
        if was_announced(str(error)):
            logger.info("trial %d, seed %d: its node is taken away", task.trial, task.seed)
            return True
        self._deaths[task.key] += 1
        logger.warning(
            "trial %d, seed %d: its worker died: %s",
            task.trial,
            task.seed,
            death_reason(str(error)),
        )
        return self._deaths[task.key] <= self._retries

    def _failure(self, task: VerifyTask, error: Exception) -> VerificationRecord:
        times = counted(self._deaths[task.key], "time")
        said = f"its worker died {times}: {death_reason(str(error))}"
        return task.record(TrialState.FAIL, error=said)


def _of_task(task: VerifyTask, error: UserError) -> UserError:
    return type(error)(
        f"trial {task.trial}, seed {task.seed}: {error}. `verify` stopped; no results were lost. "
        "Fix that, then run the same command again"
    )

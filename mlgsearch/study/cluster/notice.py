"""Notices that a worker's node is taken away: SIGTERM, or Ray's own word that the node drains.

Spot markets, autoscalers and whoever restarts machines give a node some seconds. A worker that
hears of it finishes its epoch, and ends itself before the next one.
"""

import logging
import os
import signal
import threading
import time
from typing import NoReturn

import ray
from ray._private.state import state
from ray._private.worker import WORKER_MODE, global_worker
from ray._raylet import (  # type: ignore[attr-defined]
    raise_sys_exit_with_custom_error_message,
)

logger = logging.getLogger(__name__)

#: How often a worker asks whether its node drains.
_LOOK_S = 2.0
#: What a worker that ends itself for a notice says, in Ray's account of its death.
_LEAVES = "mlgsearch: it heard that its node is taken away"
#: Words of Ray's (2.60) for a worker that SIGTERM ended, and for a node that SIGTERM, or the end of
#: its time to drain, ended; of a node that ends otherwise it says "terminated unexpectedly".
_ANNOUNCED = (
    _LEAVES,
    "The process receives a SIGTERM",
    "node was terminated expectedly",
    "node was preempted",
)


def was_announced(said: str) -> bool:
    """Return whether a worker died of a notice, by what Ray says of its death."""
    return any(words in said for words in _ANNOUNCED)


def draining_nodes() -> set[str]:
    """Return the ids of the cluster's nodes that take no more work, for they are taken away."""
    return set(state.get_draining_nodes())


class Notice:
    """Whether this process, a worker of Ray's, was asked to end; in any other it never is.

    Args:
        is_far: it may be on a node of a cluster, which may drain.
    """

    def __init__(self, *, is_far: bool):
        #: Whether it came.
        self.is_given = False
        self._pid = os.getpid()
        if global_worker.mode != WORKER_MODE:
            return
        signal.signal(signal.SIGTERM, self._handle)
        if is_far:
            node = ray.get_runtime_context().get_node_id()
            threading.Thread(target=self._look, args=(node,), name="notice", daemon=True).start()

    def leave(self) -> NoReturn:
        """End the process; what Ray says of it to the driver is known to `was_announced`."""
        raise_sys_exit_with_custom_error_message(_LEAVES, exit_code=0)
        raise AssertionError("it raises")

    def _handle(self, number: int, frame: object) -> None:
        if os.getpid() != self._pid:  # a child that was forked and runs no program of its own
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        self.is_given = True

    def _look(self, node: str) -> None:
        while not self.is_given:
            try:
                if node in draining_nodes():
                    self.is_given = True  # and never False, for a signal may have come meanwhile
            except Exception as error:  # noqa: BLE001 - Ray raises plain ones where its head is away
                logger.debug("whether the node drains is not known: %s", error)
            time.sleep(_LOOK_S)

"""Ray on a machine that is too busy to start it in time."""

import signal
import subprocess
from typing import Any

import pytest

from mlgsearch.errors import UserError
from mlgsearch.study.cluster import ray_session

SLOW = "The current node timed out during startup. This could happen because"


class SlowRay:
    """A Ray that starts at its last try, or never."""

    def __init__(self, failures: int, why: str = SLOW):
        self.left, self.why = failures, why
        self.starts = 0
        self.helpers: list[subprocess.Popen[bytes]] = []

    def init(self, *_arguments: Any, **_options: Any) -> None:
        self.starts += 1
        self.helpers.append(subprocess.Popen(["sleep", "60"]))  # as Ray's, left where it fails
        if self.starts <= self.left:
            raise Exception(self.why)  # noqa: TRY002 - as Ray does

    def shutdown(self) -> None:
        """End what is left."""
        self.helpers[-1].kill()
        self.helpers[-1].wait()


def start(monkeypatch: pytest.MonkeyPatch, ray: SlowRay) -> None:
    monkeypatch.setattr(ray_session, "ray", ray)
    with ray_session.local_ray():
        pass


def test_it_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = SlowRay(failures=2)
    start(monkeypatch, ray)
    assert ray.starts == 3
    assert [helper.wait(10) for helper in ray.helpers[:2]] == [-signal.SIGKILL] * 2


def test_at_last_it_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = SlowRay(failures=9)
    with pytest.raises(UserError, match="Ray did not start on this machine, 3 times"):
        start(monkeypatch, ray)
    assert [helper.wait(10) for helper in ray.helpers] == [-signal.SIGKILL] * 3


def test_any_other_trouble_is_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = SlowRay(failures=9, why="disk on fire")
    with pytest.raises(Exception, match="disk on fire"):
        start(monkeypatch, ray)
    assert ray.starts == 1
    ray.shutdown()

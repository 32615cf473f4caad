"""What tests of studies share: studies that train nothing, and settings of the process."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlgsearch.study.writing import retry_queue
from tests.study.driverless import Driverless, Make, empty_database


@pytest.fixture
def driverless(tmp_path: Path) -> Iterator[Make]:
    """Make studies, in one database that is the test's own."""
    made: list[Driverless] = []
    (tmp_path / "a.db").write_bytes(empty_database())

    def make(**options: Any) -> Driverless:
        made.append(Driverless(f"sqlite:///{tmp_path}/a.db", **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no try wait for the one before."""
    monkeypatch.setattr(retry_queue, "_FIRST_WAIT_S", 0.0)


@pytest.fixture
def hangups_end_a_process() -> Iterator[None]:
    """As they do unless whoever started the tests, such as nohup, has them ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)

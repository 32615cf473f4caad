"""How many threads decode images."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlgsearch.train.data import decode as module
from mlgsearch.train.data.image_file import Look, read_image
from tests.train.data.pictures import draw, load


@pytest.fixture
def one_processor() -> Iterator[None]:
    """Bind this process to one, as a batch system does; its new threads are bound as it is."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_processor")
def test_there_are_no_more_than_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()

    def watched(content: bytes, look: Look) -> np.ndarray:
        threads.add(threading.get_ident())
        time.sleep(0.01)  # or one thread may be through before a second is made
        return read_image(content, look)

    monkeypatch.setattr(module, "read_image", watched)
    monkeypatch.setattr(module, "_RUN", 1)
    assert len(load(draw(tmp_path / "set")).labels) == 24
    assert len(threads - {threading.get_ident()}) == 1

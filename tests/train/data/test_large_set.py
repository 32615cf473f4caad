"""A set of four times the memory allowed is decoded and read; and little else is held."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mlgsearch.errors import DataError
from mlgsearch.train.data import pixel_source
from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.batches import TrainingBatches
from mlgsearch.train.data.images import Images
from mlgsearch.train.data.load import load_images
from mlgsearch.train.data.pixel_source import RowReader
from mlgsearch.train.spec import DataSpec
from tests.train.data.pictures import draw

COUNT, SIDE = 450, 224
SET_BYTES = 2 * COUNT * 3 * SIDE**2  # 135 MB
#: What decoding, batches and the libraries' own memory take, whatever the size of the set.
OTHER_BYTES = 192 * 2**20

CHILD = """
import json, sys, threading, time
from pathlib import Path
import torch
from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.batches import TrainingBatches
from mlgsearch.train.data.load import load_images
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.spec import DataSpec

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

def watch():
    global peak
    while True:
        peak = max(peak, anonymous())
        time.sleep(0.002)

torch.set_num_threads(1)
root, cache, side = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
network(torch.zeros(16, 3, side, side))
base = peak = anonymous()
print(base, flush=True)
sys.stdin.readline()
threading.Thread(target=watch, daemon=True).start()
cpu = torch.device("cpu")
images = load_images(DataSpec(name="folder", root=root, image_size=side), cache)
batches = TrainingBatches(images, Augmentation(4, flips=True), cpu)
batches.start_epoch(0, 1)
order = torch.randperm(batches.count, generator=torch.Generator().manual_seed(0))
total = sum(batches.inputs(part).sum(dtype=torch.float64).item() for part in order.split(16))
loss, _ = HeldOutPart(images, images.validation, cpu).evaluate(network)
print(json.dumps([total, loss, images.data_hash, peak - base]))
"""


@contextmanager
def allowed(process: "subprocess.Popen[str]", more: int) -> Iterator[None]:
    """Allow a process ``more`` bytes than it has, where this system lets us: see `may_bound`."""
    names = ("memory.usage_in_bytes", "memory.limit_in_bytes"), ("memory.current", "memory.max")
    mounts = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
    mount, (usage, limit) = next(
        (mount, pair)
        for mount, pair in zip(mounts, names, strict=True)
        if (mount / "cgroup.procs").exists()
    )
    folder = mount / f"mlgsearch-test-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / "cgroup.procs").write_text(str(process.pid))
        status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        held = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
        (folder / limit).write_text(str(held + more))
        yield
        assert int((folder / usage).read_text()) <= held + more
    finally:
        process.wait(60)
        folder.rmdir()


def may_bound() -> bool:
    """Whether this process may make memory control groups (root, outside most containers)."""
    return any(
        (mount / "cgroup.procs").exists() and os.access(mount, os.W_OK)
        for mount in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("large") / "set", count=COUNT)


def read(root: Path, cache: Path, more: int | None) -> tuple[list[object], int]:
    """Decode and read a set in a process of its own; returns what it found, and what it held."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(root), str(cache), str(SIDE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
    )
    assert process.stdout is not None
    process.stdout.readline()
    if more is None:
        out, _ = process.communicate("go\n", timeout=250)
    else:
        with allowed(process, more):
            out, _ = process.communicate("go\n", timeout=250)
    assert process.returncode == 0, "killed for memory"
    *found, held = json.loads(out)
    return found, held


def test_a_set_of_four_times_the_memory_is_decoded_and_read(root: Path, tmp_path: Path) -> None:
    bound = OTHER_BYTES + SET_BYTES // 4 if may_bound() else None
    found, held = read(root, tmp_path / "cache", bound)
    again, held_again = read(root, tmp_path / "cache", bound)
    assert again == found
    # Where no group may be made this alone shows it: what is held besides pages of files.
    assert held < OTHER_BYTES + SET_BYTES // 4
    assert held_again < OTHER_BYTES + SET_BYTES // 4


def test_reading_ahead_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = draw(tmp_path / "set", count=20)
    images = load_images(DataSpec(name="folder", root=str(root)), tmp_path / "cache")
    augmentation, cpu = Augmentation(4, flips=True), torch.device("cpu")
    plain = TrainingBatches(images, augmentation, cpu)
    monkeypatch.setattr(pixel_source, "available_memory", lambda: 0)
    asked: list[int] = []
    expect = RowReader.expect

    def noted(reader: RowReader, rows: torch.Tensor) -> None:
        asked.extend(rows.tolist())
        expect(reader, rows)

    monkeypatch.setattr(RowReader, "expect", noted)
    ahead = TrainingBatches(images, augmentation, cpu)
    positions = torch.tensor([5, 0, 9])
    ahead.expect(positions)
    assert asked == images.train[positions].tolist()
    for each in (plain, ahead):
        each.start_epoch(0, 1)
    assert torch.equal(ahead.inputs(positions), plain.inputs(positions))


def test_only_the_limit_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = draw(tmp_path / "set", count=60)
    opened: list[object] = []
    really = Image.open

    def noted(file: io.BytesIO) -> Image.Image:
        opened.append(file)
        return really(file)

    monkeypatch.setattr(Image, "open", noted)
    images = load_images(DataSpec(name="folder", root=str(root), limit=100), tmp_path / "cache")
    assert images.pixels.shape[0] == 100
    assert len(opened) == 101  # the first one reports the shape


def test_sets_of_equal_images_share_their_pixels(tmp_path: Path) -> None:
    first = draw(tmp_path / "set", count=5)
    second = tmp_path / "moved"
    for path in first.rglob("*.png"):
        target = second / path.relative_to(first)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    one, other = (
        load_images(DataSpec(name="folder", root=str(root)), tmp_path / "cache")
        for root in (first, second)
    )
    assert one.data_hash == other.data_hash
    assert len(list((tmp_path / "cache" / "data").glob("pixels-*"))) == 1


def test_a_disk_without_room_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    root = draw(tmp_path / "set", count=5)
    with pytest.raises(DataError, match=r"No space left on device\); write a smaller data\.image"):
        load_images(DataSpec(name="folder", root=str(root)), tmp_path / "cache")
    assert list((tmp_path / "cache" / "data").iterdir()) == []


def test_decoding_reports_its_progress(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", count=300)
    notes: list[tuple[str, int, int, str]] = []
    load_images(
        DataSpec(name="folder", root=str(root)),
        tmp_path / "cache",
        lambda *note: notes.append(note),
    )
    assert notes == [("data", done, 600, "images decoded") for done in (0, 256, 512)]


def test_the_statistics_of_a_decoded_set_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load() -> Images:
        return load_images(DataSpec(name="folder", root=str(root)), tmp_path / "cache")

    root = draw(tmp_path / "set", count=10)
    first = load()
    train = first.pixels[first.train].numpy().astype(np.float64) / 255
    assert np.allclose(first.mean.numpy(), train.mean((0, 2, 3)), atol=1e-6)
    monkeypatch.setattr("mlgsearch.train.data.load.channel_statistics", None)
    again = load()
    assert torch.equal(again.mean, first.mean)
    assert torch.equal(again.std, first.std)

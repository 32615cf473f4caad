"""Loading a set takes little more memory than the set, from each kind of source.

A process of its own loads the set and reads from the kernel the most memory that it ever had,
mapped files included, less what it had with all imports done and a small set loaded.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.train.data.writers import add

#: Images of 27,648 bytes each: 166 MB, beside which buffers of a fixed size count little.
COUNT, SIDE = 6000, 96
MEASURE = """
import json, re, sys
from pathlib import Path
import torch
from mlgsearch.train.data.load import load_images
from mlgsearch.train.spec import DataSpec

def status(key):
    found = re.search(rf"^{key}:\\s+(\\d+) kB", Path("/proc/self/status").read_text(), re.M)
    return int(found[1]) * 1024

torch.set_num_threads(1)
small, large = (DataSpec.model_validate(keys) for keys in json.loads(sys.argv[1]))
cache = Path(sys.argv[2])
load_images(small, cache)
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = status("VmRSS")
images = load_images(large, cache)
held = images.pixels.numel() + images.labels.nbytes
print(json.dumps([status("VmHWM") - before, held, len(images.labels)]))
"""


def encoded(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield classes and images of a format that takes as many bytes as their pixels."""
    noise = np.random.default_rng(0)
    for number in range(count):
        pixels = noise.bytes(SIDE * SIDE * 3)
        yield "ab"[number % 2], f"P6 {SIDE} {SIDE} 255\n".encode() + pixels


def as_folder(root: Path, count: int) -> None:
    for name in "ab":
        (root / name).mkdir(parents=True)
    for number, (name, content) in enumerate(encoded(count)):
        (root / name / f"{number}.ppm").write_bytes(content)


def as_npz(root: Path, count: int) -> None:
    noise = np.random.default_rng(0)
    pixels = noise.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    root.mkdir()
    np.savez(root / "a.npz", images=pixels, labels=np.arange(count) % 2)


def as_parquet(root: Path, count: int) -> None:
    root.mkdir()
    rows = [{"image": {"bytes": content}, "label": name} for name, content in encoded(count)]
    pq.write_table(pa.Table.from_pylist(rows), root / "a.parquet", row_group_size=100)


def as_webdataset(root: Path, count: int) -> None:
    root.mkdir()
    with tarfile.open(root / "a.tar", "w") as archive:
        for number, (name, content) in enumerate(encoded(count)):
            add(archive, f"{number}.ppm", content)
            add(archive, f"{number}.cls", name.encode())


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("folder", as_folder),
        ("npz", as_npz),
        ("parquet", as_parquet),
        ("webdataset", as_webdataset),
    ],
)
def test_loading_takes_at_most_1_3_times_what_is_held(
    name: str, write: Callable[[Path, int], None], tmp_path: Path
) -> None:
    write(tmp_path / "small", 200)
    write(tmp_path / "large", COUNT)
    keys = [{"name": name, "root": str(tmp_path / size)} for size in ("small", "large")]
    try:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, json.dumps(keys), str(tmp_path / "cache")],
            capture_output=True,
            text=True,
            check=True,
            timeout=250,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    finally:
        shutil.rmtree(tmp_path)
    peak, held, count = json.loads(done.stdout)
    assert count == COUNT
    assert held / 2 < peak < 1.3 * held

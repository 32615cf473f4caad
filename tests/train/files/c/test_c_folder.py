"""C programs: compiled by gcc with its checks on, they print the student's logits."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models import DenseNet, mobilenet_v2, mobilenet_v3_small

from mlgsearch.errors import UserError
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.train.files.c.c_folder import SOURCE, write_c
from mlgsearch.train.files.c.memory import Buffer, place_buffers
from mlgsearch.train.files.c.network import open_c
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.networks.stem import use_cifar_stem
from mlgsearch.train.spec import ModelSpec
from tests.train.files.onnx.test_onnx_file import Mixed, a_student

CHECKS = [
    "-std=c99",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
    "-fsanitize=address,undefined",
]


#: Of the layers of `Everything`: grouped ones with level 2 among them.
SETTINGS = (
    LayerSetting(2, 6, 3, 6, 3),
    LayerSetting(1, 5, 4, 4, 4),
    LayerSetting(0, 4, 8, 0, 4),
    LayerSetting.plain(4),
    LayerSetting.plain(32),
    LayerSetting(0, 4, 5, 0, 5),
    LayerSetting(0, 6, 16, 0, 1),
    LayerSetting.plain(1),
)


class Everything(nn.Module):
    """Each operation that ``mlg.c`` knows and none of this tool's small networks has."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, (3, 5), stride=2, padding=(1, 2))
        self.grouped = nn.Conv2d(12, 12, 3, padding=2, groups=3, bias=False, dilation=2)
        self.bare = nn.BatchNorm2d(12, affine=False)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.slopes = nn.PReLU(12)
        self.squeeze, self.excite = nn.Conv2d(12, 4, 1), nn.Conv2d(4, 12, 1)
        self.used_twice = nn.Conv2d(12, 12, 1, bias=False)
        self.norm = nn.BatchNorm2d(12)
        self.rows = nn.Linear(56, 12)
        self.row_norm = nn.BatchNorm1d(12)
        self.head = nn.Linear(12, 5)
        self.gain = nn.Parameter(torch.full((1,), 1.5))

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.stem(x))
        x = F.silu(self.bare(self.grouped(x)))
        x = self.slopes(self.depthwise(x))
        gate = self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1))))
        x = x * F.hardsigmoid(gate) + torch.sigmoid(gate)
        one = self.used_twice(x)
        x = self.used_twice(self.norm(one) - one)
        x = x.reshape(-1, 3, 4, *x.shape[2:]).transpose(1, 2).reshape(-1, 12, *x.shape[2:])
        left, right = x.chunk(2, 1)
        x = torch.cat([F.gelu(right), F.elu(left), torch.tanh(right) / 3], 1)
        x = F.max_pool2d(x, 2, ceil_mode=True)
        inside = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        x = inside[:, 2:] + F.avg_pool2d(x, 3, 1, 1)[:, :-2]
        x = x[:, 2:] + x[:, :-2]
        x = F.adaptive_avg_pool2d(F.relu6(F.hardswish(x)), 2).flatten(1)
        x = self.row_norm(self.rows(x))
        logits: Tensor = self.head(x) * self.gain
        return logits


def own(name: str, width: int, channels: int, side: int) -> Callable[[], nn.Module]:
    return lambda: build_model(
        ModelSpec(name=name, width=width), classes=5, channels=channels, image_size=(side, side)
    )


def small_mobilenet() -> nn.Module:
    network: nn.Module = mobilenet_v2(num_classes=5, width_mult=0.25)
    use_cifar_stem(network, "mobilenet_v2")
    return network


#: Bits of inputs, layer by layer.
EACH = (8, 4, 6, 32, 2, 8, 5, 4, 3, 8)

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int], dict[str, Any]]] = {
    "resnet8": (own("resnet8", 8, 1, 8), (1, 8, 8), {"in_bits": 8}),
    "inputs of their own": (own("resnet8", 8, 1, 8), (1, 8, 8), {"in_bits": EACH}),
    "chain8": (own("chain8", 2, 3, 16), (3, 16, 16), {"method": "lsq"}),
    "mobilenet_v2": (small_mobilenet, (3, 16, 16), {}),
    "squeeze_excite": (
        lambda: mobilenet_v3_small(num_classes=5, width_mult=0.25),
        (3, 32, 32),
        {"method": "dorefa"},
    ),
    "densenet": (lambda: DenseNet(4, (2, 2), 8, num_classes=5), (3, 32, 32), {"norm_bits": 16}),
    "everything": (Everything, (3, 16, 14), {"settings": SETTINGS}),
}


def compiled(folder: Path, options: list[str]) -> Path:
    """Compile a folder's program; whoever runs the tests needs gcc."""
    gcc = shutil.which("gcc")
    assert gcc is not None, "gcc is missing: these tests compile C programs with it"
    program = folder / "student"
    command = [gcc, *options, "-o", str(program), str(folder / "mlg.c"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def run(program: Path, content: bytes, *options: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([program, *options], input=content, capture_output=True, check=False)


def logits_of(printed: bytes) -> "np.ndarray[Any, Any]":
    return np.array([line.split() for line in printed.decode().splitlines()], np.float32)


@torch.no_grad()
@pytest.mark.parametrize("kind", list(NETWORKS))
def test_every_network_gives_the_students_logits(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    build, shape, changes = NETWORKS[kind]
    network, card = a_student(build(), shape, **changes)
    size = write_c(tmp_path / "out", network, card)
    assert size == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    program = compiled(tmp_path / "out", CHECKS)
    pixels = torch.randint(256, (3, *shape), dtype=torch.uint8)
    mean, std = (torch.tensor(each)[:, None, None] for each in (card.mean, card.std))
    images = (pixels / 255 - mean) / std
    expected = network(images).numpy()
    assert np.ptp(expected) > 0
    numbers = " ".join(f"{number:.9g}" for number in images.flatten().tolist())
    for content, *options in ((pixels.numpy().tobytes(),), (numbers.encode(), "-n")):
        done = run(program, content, *options)
        assert (done.returncode, done.stderr) == (0, b"")
        np.testing.assert_allclose(logits_of(done.stdout), expected, atol=1e-4)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PackedCard]:
    torch.manual_seed(0)
    network, card = a_student(own("resnet8", 8, 1, 8)(), (1, 8, 8))
    known = ModelSpec(name="resnet8", width=8)
    card = card.model_copy(update={"model": known, "study": "*/ int x; /*"})
    write_c(folder := tmp_path_factory.mktemp("student"), network, card)
    return folder, card


def test_the_program_reports_its_memory(student: tuple[Path, PackedCard]) -> None:
    """A block's input and two outputs at once, and one row of a layer with a plane or two."""
    done = run(compiled(student[0], ["-O2", "-std=c99"]), bytes(64 * 2), "-t")
    words = done.stderr.decode().replace(",", "").split()
    flash, scratch, arena = int(words[1]), int(words[6]), int(words[10])
    assert float(words[13]) > 0
    header = (student[0] / "student.h").read_text()
    assert f"#define SCRATCH {scratch // 4}\n" in header
    assert arena == 4 * 3 * 8 * 64
    assert scratch < 2048
    assert 4_000 < flash < 8_000


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (bytes(100), (), "image 1 ends after 36 of 64 values"),
        (b"", (), "image 0 ends after 0 of 64 values"),
        (b"1 2 x", ("-n",), "image 0: value 2 is no number"),
        (bytes(64), ("-z",), "usage: "),
    ],
    ids=["short", "empty", "word", "option"],
)
def test_a_mistake_is_told_in_a_line(
    student: tuple[Path, PackedCard], content: bytes, options: tuple[str, ...], said: str
) -> None:
    done = run(compiled(student[0], CHECKS), content, *options)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


@torch.no_grad()
def test_a_folder_is_read_and_compiled_again(student: tuple[Path, PackedCard]) -> None:
    folder, card = student
    network = open_c(folder)
    assert network.card == card
    images = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(network(images), network.packed(images), atol=1e-4, rtol=0)


def test_the_source_is_short_and_allocates_nothing() -> None:
    source = SOURCE.read_text()
    assert len(source.splitlines()) <= 300
    assert not re.search(r"alloc *\(", source)
    includes = {line for line in source.splitlines() if line.startswith("#include <")}
    standard = ("math", "stdint", "string", "stdio", "time")
    assert includes == {f"#include <{name}.h>" for name in standard}


def test_every_form_of_a_layer_is_used(student: tuple[Path, PackedCard], tmp_path: Path) -> None:
    torch.manual_seed(0)
    write_c(tmp_path, *a_student(Everything(), (3, 16, 14), settings=SETTINGS))
    headers = "".join((folder / "student.h").read_text() for folder in (tmp_path, student[0]))
    for form in ("BY_ROWS", "WHOLE", "DEPTHWISE"):
        assert f".form = {form}," in headers


def test_what_the_program_does_not_know_is_said(tmp_path: Path) -> None:
    torch.manual_seed(0)
    with pytest.raises(UserError, match=r"mine:network: Pad .*does not know: export another"):
        write_c(tmp_path / "out", *a_student(Mixed(), (3, 16, 16)))
    assert not (tmp_path / "out").exists()


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_what_is_alive_at_once_never_overlaps(drawn: list[tuple[int, int, int]]) -> None:
    buffers = [
        Buffer(size, first=min(first, last), last=max(first, last)) for size, first, last in drawn
    ]
    room = place_buffers(buffers)
    for i, one in enumerate(buffers):
        assert 0 <= one.at <= room - one.size
        for other in buffers[:i]:
            assert one.first is not None
            assert other.first is not None
            apart = one.last < other.first or other.last < one.first
            assert apart or one.at + one.size <= other.at or other.at + other.size <= one.at

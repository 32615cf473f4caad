from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from mlgsearch.train.loop import checkpoint
from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.spec import OptimiserName, OptimiserSpec


def save(directory: Path, value: int) -> Path:
    return checkpoint.save(directory, "c", {"a": torch.tensor(value)}, {"value": value})


def loaded(directory: Path) -> object:
    found = checkpoint.load(directory, "c")
    return None if found is None else found.metadata["value"]


def test_keeps_the_last_two_and_gives_the_newest(tmp_path: Path) -> None:
    for value in range(4):
        save(tmp_path, value)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "c-000003.safetensors",
        "c-000004.safetensors",
    ]
    found = checkpoint.load(tmp_path, "c")
    assert found is not None
    assert (found.sequence, found.metadata) == (4, {"value": 3})
    assert found.tensors["a"] == 3


def test_nothing_there(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "nowhere", "c") is None
    save(tmp_path, 1)
    assert checkpoint.load(tmp_path, "other") is None


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign"])
def test_falls_back_to_the_one_before(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    content = newest.read_bytes()
    match damage:
        case "flip":
            newest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "cut":
            newest.write_bytes(content[:-3])
        case "empty":
            newest.write_bytes(b"")
        case "foreign":
            save_file({"a": torch.zeros(1)}, newest)
    assert loaded(tmp_path) == 1
    assert "c-000002.safetensors" in caplog.text
    # The next save does not take the damaged one's place in history.
    save(tmp_path, 3)
    assert loaded(tmp_path) == 3


def test_a_leftover_of_a_killed_write_does_not_count(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    (tmp_path / ".c-000002.safetensors.1-abc.tmp").write_bytes(path.read_bytes()[:10])
    assert loaded(tmp_path) == 1


@pytest.mark.parametrize("name", get_args(OptimiserName))
def test_a_training_goes_on_bit_for_bit(tmp_path: Path, name: OptimiserName) -> None:
    def build() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 3)
        )
        network.to(memory_format=torch.channels_last)
        return network, build_optimiser(network, OptimiserSpec(optimiser=name))

    def steps(network: nn.Module, optimiser: torch.optim.Optimizer, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for _ in range(8):
            inputs = torch.randn(5, 2, 3, 3, generator=generator)
            optimiser.zero_grad(set_to_none=False)
            loss = functional.cross_entropy(network(inputs), torch.arange(5) % 3)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    straight, optimiser = build()
    steps(straight, optimiser, 1)
    checkpoint.save(tmp_path, "t", *checkpoint.capture(straight, optimiser, 1))
    steps(straight, optimiser, 2)

    resumed, fresh = build()
    saved = checkpoint.load(tmp_path, "t")
    assert saved is not None
    assert checkpoint.restore(resumed, fresh, saved) == 1
    steps(resumed, fresh, 2)
    for name_, tensor in straight.state_dict().items():
        assert torch.equal(resumed.state_dict()[name_], tensor), name_

"""Every classifier of torchvision: sizes before any training, and the way to a file and back."""

import math
import os
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models

from mlgsearch.errors import UserError
from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.packing.packed import settings_of
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import load_packed, packed_size, write_packed
from mlgsearch.train.files.size_report import SizeReport, size_report
from mlgsearch.train.networks.models import build_model, build_without_memory
from mlgsearch.train.spec import ModelSpec

ALL = models.list_models(module=models)
#: The networks that can begin as for small images.
SMALL_STEM = ("resn", "wide_resnet", "densenet", "regnet", "mobilenet", "mnasnet", "eff", "shuffle")
#: The least side in pixels that families take, by how their names begin; 32 for all others.
SIDES = {"alexnet": 64, "inception": 75, "maxvit": 224, "swin_v2": 64, "vit": 224}
#: Parameters up to which a network is trained here; all are where MLGSEARCH_TEST_LARGE is set,
#: which takes half an hour and several GB.
MOST_PARAMETERS = math.inf if os.environ.get("MLGSEARCH_TEST_LARGE") else 15e6
#: One larger member of each family that has no smaller.
MEMBERS = ("convnext_tiny", "inception_v3", "maxvit_t", "swin_t", "swin_v2_t", "vit_b_32")


def trained() -> list[str]:
    """Return the networks that take the whole path; built without memory, they cost little."""
    published = {name: models.get_model_weights(name).DEFAULT.meta["num_params"] for name in ALL}
    return [n for n in ALL if published[n] <= MOST_PARAMETERS or n in MEMBERS]


def side_of(name: str) -> int:
    return next((side for start, side in SIDES.items() if name.startswith(start)), 32)


def test_no_network_is_forgotten() -> None:
    assert len(ALL) == 80


@cache
def report(name: str, stem: str = "imagenet") -> SizeReport:
    side = 32 if stem == "cifar" else 224
    spec = ModelSpec.model_validate({"name": name, "stem": stem})
    five = (2, 44, 3, 6, 3)
    return size_report(spec, five, classes=10, channels=3, image_size=(side, side))


@pytest.mark.parametrize("name", ALL)
def test_sizes_are_known_and_count_every_parameter(name: str) -> None:
    found = report(name)
    layers = found.shape.layers
    unseen = {layer for layer, shape in layers.items() if not shape.out_positions}
    # Swin's attention multiplies with the weights of its layers and never calls them.
    of_attention = {layer for layer in layers if layer.endswith((".attn.qkv", ".attn.proj"))}
    assert unseen == (of_attention if name.startswith("swin") else set())
    network = build_without_memory(
        ModelSpec(name=name, stem="imagenet"), classes=10, channels=3, image_size=(224, 224)
    )
    assert found.shape.full_parameters == sum(p.numel() for p in network.parameters())
    # The file is what is counted and, beside scales and the settings as text, tables of places.
    places = sum(8 * b.nbytes for name, b in network.named_buffers() if "relative" in name)
    assert 0 < 8 * found.packed_bytes - found.sizes.bits < places + 8 * 100 * len(layers) + 80_000
    assert found.sizes.memory_ratio < 0.16


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith(SMALL_STEM)])
def test_a_small_stem_looks_at_more_positions(name: str) -> None:
    def most(shape: NetworkShape) -> int:
        return max(layer.out_positions for layer in shape.layers.values())

    assert most(report(name, "cifar").shape) == 32 * 32
    assert most(report(name, "imagenet").shape) == 112 * 112


@pytest.mark.parametrize("name", ["vit_b_16", "vgg11", "alexnet", "convnext_tiny", "squeezenet1_0"])
def test_another_network_says_which_stem_it_has(name: str) -> None:
    with pytest.raises(UserError, match=r"write model\.stem: imagenet"):
        report(name, "cifar")


@pytest.mark.parametrize(
    ("name", "most"), [("vit_b_16", 0.0125), ("swin_t", 0.015), ("convnext_tiny", 0.015)]
)
def test_a_transformer_is_compressed_as_a_resnet_is(name: str, most: float) -> None:
    assert report("resnet50").sizes.memory_ratio < report(name).sizes.memory_ratio * 2
    assert report(name).sizes.memory_ratio < most


@pytest.mark.parametrize("name", trained())
def test_a_network_is_trained_packed_and_loaded(name: str, tmp_path: Path) -> None:
    side = side_of(name)
    spec = ModelSpec(name=name, stem="imagenet")
    network = build_model(spec, classes=10, channels=3, image_size=(side, side), is_checked=True)
    with torch.no_grad():
        shape = size_report(spec, (1, 4, 4, 4, 4), classes=10, channels=3, image_size=(side, side))
    settings = uniform_settings(shape.shape, (1, 4, 4, 4, 4))
    compress(network, settings, projects=False)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # one step's statistics are to keep the numbers finite
    network.to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, side, side).contiguous(memory_format=torch.channels_last)
    _one_step(network, images)
    card = PackedCard(
        model=spec,
        classes=10,
        channels=3,
        image_size=(side, side),
        method="dorefa",
        settings=tuple(settings_of(network).values()),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )
    path = tmp_path / "student.safetensors"
    written = write_packed(path, network.eval(), card)
    with torch.no_grad():
        expected = network(images)
        assert torch.equal(load_packed(path)(images), expected)
    assert torch.isfinite(expected).all()
    planned = build_without_memory(spec, classes=10, channels=3, image_size=(side, side))
    assert packed_size(planned, card) == written


def _one_step(network: nn.Module, images: torch.Tensor) -> None:
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)
    logits = network.train()(images)
    loss = nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
    loss.backward()  # type: ignore[no-untyped-call]
    # Batch-norm over two values has gradients of any size.
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    assert logits.shape == (2, 10)

"""From a trained network to a student."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlgsearch.api.plan import Plan
from mlgsearch.api.student import Student
from mlgsearch.api.words import Section, study_spec
from mlgsearch.errors import SettingError, UserError
from mlgsearch.mlg.folding import folded_copy
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.network import network_shape
from mlgsearch.mlg.packing.packed import settings_of
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import FiveNumbers
from mlgsearch.train.device import memory_format
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.networks.models import fitted, network_without_memory
from mlgsearch.train.own_code import names_code
from mlgsearch.train.spec import ModelSpec, QuantisationSpec
from mlgsearch.train.student.student import compress_as
from mlgsearch.train.versions import versions_text

#: A plan; five numbers for all layers; or a setting per layer.
Settings = Plan | Sequence[int] | Mapping[str, LayerSetting | Sequence[int]]

_FIVE = 5
#: The largest number that a file holds.
_LARGEST = torch.finfo(torch.float32).max


def compress(
    model: nn.Module,
    settings: Settings,
    *,
    input_shape: tuple[int, int, int] | None = None,
    quantisation: Section | None = None,
    architecture: str | Section | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Student:
    """Compress a copy of a trained network: project its weights onto factors.

    The model itself stays as it is. What comes out has lost accuracy: train ``student.network``,
    or let `search` do so.

    Args:
        model: takes images (N, C, H, W) and returns a tensor (N, outputs) or (N, outputs, ...).
        settings: a `Plan`; or the five numbers ``(B_in, B_out, q_basis, q_coeff_in,
            q_coeff_out)`` for all layers, by the paper's rule for 1x1 layers and the head; or a
            mapping from every layer's name to five numbers or a `LayerSetting`.
        input_shape: (C, H, W) of one image; a plan knows it.
        quantisation: keys of a study file's ``quantisation``; a plan knows them.
        architecture: what a study file's ``model`` would say, where the model is one that
            mlgsearch or torchvision builds: ``"resnet18"``, or ``{"name": "resnet18", "stem":
            "imagenet"}``. Then `load_packed` needs no ``build`` to open the packed file. A plan
            knows it.
        mean: of the images, per channel, for the files: they say that the network takes ``(pixel /
            255 - mean) / std``. Without it 0. A plan knows it.
        std: likewise; without it 1.

    Raises:
        SettingError: a layer has no setting, or one that does not fit it.
        UserError: the model does not take such images, is not the architecture named, or an
            argument is wrong.
    """
    if isinstance(settings, Plan):
        given = {
            "quantisation": quantisation,
            "architecture": architecture,
            "mean": mean,
            "std": std,
        }
        for name, value in given.items():
            if value is not None:
                raise UserError(f"{name}: a plan knows it; pass it to `plan` instead")
        if input_shape is not None and tuple(input_shape) != settings.input_shape:
            raise UserError(
                f"input_shape is {tuple(input_shape)}, but the plan is for {settings.input_shape}"
            )
        shape, chosen = settings.input_shape, settings.quantisation
        architecture, mean, std = settings.architecture, settings.mean, settings.std
    elif input_shape is None:
        raise UserError("input_shape: write (channels, height, width) of one image")
    else:
        shape = input_shape
        chosen = study_spec("compress", quantisation=quantisation).quantisation
    network = student_network(model)
    outputs = check_model(network, shape)
    named = _named(network, settings.settings if isinstance(settings, Plan) else settings, shape)
    card = card_of(model, shape, outputs, chosen, named, architecture, mean, std)
    check_architecture(network, card)
    error = compress_as(network, named, chosen)
    canonical = tuple(settings_of(network).values())
    return Student(network, card.model_copy(update={"settings": canonical}), error)


def student_network(model: nn.Module) -> nn.Module:
    """Return a copy of a network as students need it: float32, not compiled, nothing folded in."""
    return fitted(folded_copy(getattr(model, "_orig_mod", model))).requires_grad_(True)


@torch.no_grad()
def check_model(network: nn.Module, input_shape: Sequence[int]) -> int:
    """Run one black image through a network, bring it into its layout, and count its outputs.

    Raises:
        UserError: it does not take such an image, or returns something else than a tensor of
            (1, outputs, ...).
    """
    if (
        not isinstance(input_shape, Sequence)
        or len(input_shape) != 3
        or not all(type(side) is int and side > 0 for side in input_shape)
    ):
        raise UserError(f"input_shape is {input_shape!r}, expected (channels, height, width)")
    channels, height, width = input_shape
    network.to(memory_format=memory_format((channels, height, width)))
    device = next(network.parameters()).device
    was_training = network.training
    try:
        outputs = network.eval()(torch.zeros(1, *input_shape, device=device))
    except (RuntimeError, ValueError, AssertionError) as error:
        size = "x".join(map(str, input_shape))
        raise UserError(f"the model does not take images of {size}: {error}") from error
    finally:
        network.train(was_training)
    if not isinstance(outputs, Tensor) or outputs.ndim < 2 or len(outputs) != 1:
        found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise UserError(
            f"the model must return a tensor (N, outputs) or (N, outputs, ...), for one image it "
            f"returned {found}"
        )
    return outputs.shape[1]


def card_of(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    outputs: int,
    quantisation: QuantisationSpec,
    settings: Mapping[str, LayerSetting],
    architecture: str | Section | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> PackedCard:
    """Return what a packed file says of a student."""
    means = _per_channel("mean", mean, input_shape[0], 0.0)
    deviations = _per_channel("std", std, input_shape[0], 1.0)
    if not all(deviation > 0 for deviation in deviations):
        raise UserError(f"std is {deviations}, expected numbers above 0")
    return PackedCard.of(
        _model_spec(model, architecture),
        outputs,
        input_shape,
        settings,
        quantisation,
        mean=means,
        std=deviations,
        versions=versions_text(),
    )


def _per_channel(
    name: str, given: Sequence[float] | None, channels: int, default: float
) -> tuple[float, ...]:
    if given is None:
        return (default,) * channels
    if not isinstance(given, Iterable):  # a tensor and an array are
        raise UserError(f"{name} is {given!r}, expected a number per channel: {channels}")
    values = tuple(given)
    if len(values) != channels:
        raise UserError(f"{name} has {len(values)} numbers, expected one per channel: {channels}")
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise UserError(f"{name} is {values}, expected numbers") from None
    if not all(abs(number) <= _LARGEST for number in numbers):
        raise UserError(f"{name} is {values}, expected finite numbers")
    return numbers


def _model_spec(model: nn.Module, architecture: str | Section | None) -> ModelSpec:
    if architecture is None:
        kind = type(getattr(model, "_orig_mod", model))
        return ModelSpec(name=f"{kind.__module__}:{kind.__name__}")
    section: Mapping[str, Any] = (
        {"name": architecture} if isinstance(architecture, str) else architecture
    )
    return study_spec("architecture", model=section).model


def check_architecture(network: nn.Module, card: PackedCard) -> None:
    """Check that a network is what its card says, tensor by tensor, where we can build that.

    Raises:
        UserError: it is not.
    """
    if names_code(card.model.name):
        return
    built = network_without_memory(card.model, card.classes, card.input_shape)
    expected = {name: tuple(t.shape) for name, t in built.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            raise UserError(
                f"architecture: the model is not {card.model.name} with stem {card.model.stem}: "
                f"{name} is {found.get(name)}, expected {expected.get(name)}"
            )


def _named(
    network: nn.Module,
    settings: Sequence[int] | Mapping[str, LayerSetting | Sequence[int]],
    input_shape: tuple[int, int, int],
) -> dict[str, LayerSetting]:
    if isinstance(settings, Mapping):
        order = list(compressible_layers(network))
        given = {name: _setting(name, five) for name, five in settings.items()}
        return {name: given[name] for name in order if name in given} | given
    if len(settings) != _FIVE:
        raise SettingError(f"settings: expected five numbers, got {tuple(settings)}")
    five: FiveNumbers = tuple(settings)  # type: ignore[assignment]  # as long as that
    return uniform_settings(network_shape(network, input_shape), five)


def _setting(name: str, given: LayerSetting | Sequence[int]) -> LayerSetting:
    if isinstance(given, LayerSetting):
        return given
    try:
        return LayerSetting.from_five(tuple(given))  # type: ignore[arg-type]
    except SettingError as error:
        raise SettingError(f"layer {name!r}: {error}") from error

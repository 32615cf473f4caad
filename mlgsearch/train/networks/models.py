"""A network by its name in a study file."""

import difflib
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mlgsearch.errors import UserError
from mlgsearch.mlg.folding import fold
from mlgsearch.train.light_torch import models, without_compiler
from mlgsearch.train.networks.chain import ChainNet
from mlgsearch.train.networks.residual import CifarResNet
from mlgsearch.train.networks.stem import drop_head_bias, use_channels, use_cifar_stem
from mlgsearch.train.networks.timm_networks import PREFIX, build_timm
from mlgsearch.train.own_code import (
    OwnCodeError,
    call,
    described,
    load_callable,
    names_code,
    place_of,
)
from mlgsearch.train.spec import OWN_NETWORKS, ModelSpec

#: Blocks per stage of our own networks.
_RESIDUAL = {"resnet8": 1, "resnet20": 3}
_CHAIN = "chain8"
#: Networks that would return more than logits while training, and what keeps them from it.
_ONE_OUTPUT = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


def build_model(
    spec: ModelSpec,
    *,
    classes: int,
    channels: int,
    image_size: tuple[int, int],
    seed: int = 0,
    is_checked: bool = False,
    folds: bool = True,
) -> nn.Module:
    """Build a classifier, in float32 on the CPU, in training mode, initialised from ``seed``.

    Auxiliary heads of torchvision's networks are left out.

    Args:
        spec: which network; ``module:callable`` is called with ``classes``, ``channels`` and
            ``image_size`` as keywords and must return an ``nn.Module``.
        classes: the number of logits.
        channels: channels of an input image.
        image_size: (height, width) of an input image, in pixels.
        seed: of the initial weights; torch's global generator is left as it was.
        is_checked: whether it is known already that the network takes such images.
        folds: whether weight norm and the like are folded.

    Raises:
        UserError: the name is unknown, or the network does not take such images, or does not give
            logits of shape (B, classes).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = fitted(_construct(spec, classes, channels, image_size))
        if not is_checked:
            _check_shapes(network, spec.name, classes, (channels, *image_size))
        if folds:
            fold(network)
    return network


def build_without_memory(
    spec: ModelSpec,
    *,
    classes: int,
    channels: int,
    image_size: tuple[int, int],
    allocates_at_need: bool = True,
) -> nn.Module:
    """Build a classifier on ``meta``, where it takes no memory.

    A network that computes with numbers while it is built has those on the CPU; one that cannot be
    built so either is built in memory, unless ``allocates_at_need`` is false.

    Raises:
        UserError: as ``build_model``.
    """
    options: dict[str, Any] = {"classes": classes, "channels": channels, "image_size": image_size}
    is_own = names_code(spec.name)
    failures = (NotImplementedError, RuntimeError, *((OwnCodeError,) if is_own else ()))
    with without_compiler():
        with suppress(*failures), torch.device("meta"):
            return _checked(spec, build_model(spec, **options, is_checked=True), **options)
        try:
            with _WeightsOnMeta():
                network = build_model(spec, **options, is_checked=True).to("meta")
            with torch.device("meta"):
                return _checked(spec, network, **options)
        except failures:
            if not allocates_at_need:
                raise
        network = build_model(spec, **options, is_checked=True)
        if is_own:  # what it computes with numbers may be in its forward
            return _checked(spec, network, **options)
        with torch.device("meta"):
            return _checked(spec, network.to("meta"), **options)


def network_without_memory(
    spec: ModelSpec, classes: int, input_shape: tuple[int, int, int]
) -> nn.Module:
    """Build a classifier of images (C, H, W) on ``meta``: see `build_without_memory`.

    Raises:
        UserError: as ``build_model``.
    """
    channels, height, width = input_shape
    return build_without_memory(
        spec, classes=classes, channels=channels, image_size=(height, width)
    )


def _checked(
    spec: ModelSpec,
    network: nn.Module,
    *,
    classes: int,
    channels: int,
    image_size: tuple[int, int],
) -> nn.Module:
    """Return a network after its outputs were looked at, also in training mode if it is one's own.

    Raises:
        UserError: as ``build_model``.
    """
    for is_training in (False, True) if names_code(spec.name) else (False,):
        with torch.random.fork_rng(devices=[]):
            _check_shapes(
                network, spec.name, classes, (channels, *image_size), is_training=is_training
            )
    return network


class _WeightsOnMeta(TorchFunctionMode):
    """Makes on ``meta`` what is made empty, to be initialised later, and nothing else."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def fitted(network: nn.Module) -> nn.Module:
    """Return a network as a training needs it: in float32, not compiled, with one output.

    It is changed in place. GoogLeNet and Inception v3 lose their auxiliary heads, which exist for a
    training from scratch of long ago and would be compressed and stored for nothing.
    """
    whole: nn.Module = getattr(network, "_orig_mod", network)
    for module in whole.modules():
        if isinstance(module, models.GoogLeNet):
            module.aux_logits = False
            module.aux1 = module.aux2 = None
        elif isinstance(module, models.Inception3):
            module.aux_logits = False
            module.AuxLogits = None
    return whole.float()


def make_own(
    name: str, key: str, *, classes: int, channels: int, image_size: tuple[int, int]
) -> nn.Module:
    """Call the ``module:callable`` that makes a network.

    Raises:
        OwnCodeError: it cannot be imported, takes other arguments, raises, or returns anything but
            a network; the message has the user's own file and line. ``key`` is where it was named.
    """
    target = load_callable(name, key)
    if isinstance(target, nn.Module):
        raise OwnCodeError(
            f"{key}: {name} is a network; name a function that makes one from classes, channels "
            "and image_size"
        )
    made = call(target, name, key, classes=classes, channels=channels, image_size=image_size)
    if not isinstance(made, nn.Module):
        raise OwnCodeError(
            f"{key}: {name} must return a torch.nn.Module, it returned {_article(made)}"
            f"{place_of(target)}"
        )
    if isinstance(made, torch.jit.ScriptModule):
        raise OwnCodeError(
            f"{key}: {name} returned a TorchScript module, whose layers cannot be replaced; return "
            f"the module that it was made from{place_of(target)}"
        )
    return made


def _article(value: object) -> str:
    kind = type(value).__name__
    return kind if value is None else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _construct(
    spec: ModelSpec, classes: int, channels: int, image_size: tuple[int, int]
) -> nn.Module:
    if names_code(spec.name):
        return make_own(
            spec.name, "model.name", classes=classes, channels=channels, image_size=image_size
        )
    if spec.name.startswith(PREFIX):
        of_timm = build_timm(spec.name, classes=classes, channels=channels, image_size=image_size)
        if not spec.head_bias:
            drop_head_bias(of_timm, spec.name, classes)
        return of_timm
    if spec.name in _RESIDUAL:
        return CifarResNet(
            _RESIDUAL[spec.name],
            width=spec.width,
            classes=classes,
            channels=channels,
            head_bias=spec.head_bias,
        )
    if spec.name == _CHAIN:
        return ChainNet(
            width=spec.width, classes=classes, channels=channels, head_bias=spec.head_bias
        )
    known = models.list_models(module=models)
    if spec.name not in known:
        near = difflib.get_close_matches(spec.name, [*OWN_NETWORKS, *known], n=1, cutoff=0.0)
        raise UserError(
            f"model.name: unknown network {spec.name!r}, did you mean {near[0]}? Known are "
            f"{', '.join(OWN_NETWORKS)}, every torchvision classifier, timm:NAME, and "
            "module:callable"
        )
    options = _ONE_OUTPUT.get(spec.name, {})
    network: nn.Module = models.get_model(spec.name, weights=None, num_classes=classes, **options)
    if spec.stem == "cifar":
        use_cifar_stem(network, spec.name)
    use_channels(network, channels)
    if not spec.head_bias:
        drop_head_bias(network, spec.name, classes)
    return network


def _check_shapes(
    network: nn.Module,
    name: str,
    classes: int,
    input_shape: tuple[int, int, int],
    *,
    is_training: bool = False,
) -> None:
    """Run two black images through, so that a misfit is reported before any work is done.

    In training mode a network may return more beside its logits, which come first.
    """
    is_own = names_code(name)
    place = _place_of_network(network, name) if is_own else ""
    was_training = network.training
    network.train(is_training)
    try:
        with torch.inference_mode():
            out = network(torch.zeros(2, *input_shape))
    # What torch raises on images too small, or of another size than a network insists on.
    except (RuntimeError, ValueError, AssertionError) as error:
        raise _misfit(name, input_shape, error, place) from error
    except Exception as error:
        if not is_own:
            raise
        raise _misfit(name, input_shape, error, place) from error  # a network may raise anything
    finally:
        network.train(was_training)
    if is_training:
        while isinstance(out, tuple | list) and out:
            out = out[0]
    if not isinstance(out, Tensor) or out.shape != (2, classes):
        shape = tuple(out.shape) if isinstance(out, Tensor) else _article(out)
        kind = OwnCodeError if is_own else UserError
        raise kind(
            f"model.name: {name} must return logits of shape (2, {classes}) for two images, it "
            f"returned {shape}{' in training' if is_training else ''}{place}"
        )
    if is_own and not is_training and not out.is_meta and _are_probabilities(out):
        raise OwnCodeError(
            f"model.name: {name} must return logits, it returned probabilities: leave out the "
            f"softmax at its end{place}"
        )


def _are_probabilities(out: Tensor) -> bool:
    return bool((out >= 0).all()) and torch.allclose(out.sum(1), torch.ones(len(out)), atol=1e-4)


def _misfit(
    name: str, input_shape: tuple[int, int, int], error: Exception, place: str
) -> UserError:
    said = f"model.name: {name} does not take images of {'x'.join(map(str, input_shape))}: "
    if names_code(name):
        return OwnCodeError(said + described(error, place))
    return UserError(said + " ".join(str(error).split()))


def _place_of_network(network: nn.Module, name: str) -> str:
    """Return where a network of one's own computes its output, or else where it is made."""
    return place_of(type(network).forward) or place_of(load_callable(name))

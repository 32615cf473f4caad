"""A network by its name in a study file."""

import difflib
import importlib
from collections.abc import Callable
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
from mlgsearch.train.spec import OWN_NETWORKS, ModelSpec

#: Blocks a stage of our own networks.
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
    with without_compiler():
        try:
            with torch.device("meta"):
                return build_model(spec, **options)
        except (NotImplementedError, RuntimeError):
            pass
        try:
            with _WeightsOnMeta():
                network = build_model(spec, **options, is_checked=True).to("meta")
        except (NotImplementedError, RuntimeError):
            if not allocates_at_need:
                raise
            network = build_model(spec, **options, is_checked=True).to("meta")
        with torch.device("meta"):
            _check_shapes(network, spec.name, classes, (channels, *image_size))
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


def _construct(
    spec: ModelSpec, classes: int, channels: int, image_size: tuple[int, int]
) -> nn.Module:
    if ":" in spec.name:
        made = load_callable(spec.name)(classes=classes, channels=channels, image_size=image_size)
        if not isinstance(made, nn.Module):
            raise UserError(
                f"model.name: {spec.name} must return a torch.nn.Module, it returned "
                f"{type(made).__name__}"
            )
        return made
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
            f"{', '.join(OWN_NETWORKS)}, every torchvision classifier, and module:callable"
        )
    options = _ONE_OUTPUT.get(spec.name, {})
    network: nn.Module = models.get_model(spec.name, weights=None, num_classes=classes, **options)
    if spec.stem == "cifar":
        use_cifar_stem(network, spec.name)
    use_channels(network, channels)
    if not spec.head_bias:
        drop_head_bias(network, spec.name, classes)
    return network


def load_callable(name: str) -> Callable[..., object]:
    """Import the callable that ``module:callable`` names.

    Raises:
        UserError: there is no such module, or it has no such callable.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, TypeError, ValueError) as error:  # TypeError: a relative name
        raise UserError(f"model.name: {name}: cannot import {module_name!r}: {error}") from error
    target = getattr(module, attribute, None)
    if not callable(target):
        near = difflib.get_close_matches(attribute, dir(module), n=1, cutoff=0.0)
        raise UserError(
            f"model.name: {name}: {module_name} has no callable {attribute!r}"
            + (f", did you mean {near[0]}?" if near else "")
        )
    called: Callable[..., object] = target
    return called


def _check_shapes(
    network: nn.Module, name: str, classes: int, input_shape: tuple[int, int, int]
) -> None:
    """Run two black images through, so that a misfit is told before any work is done."""
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            out = network(torch.zeros(2, *input_shape))
    # What torch raises on images too small, or of another size than a network insists on.
    except (RuntimeError, ValueError, AssertionError) as error:
        size = "x".join(map(str, input_shape))
        raise UserError(f"model.name: {name} does not take images of {size}: {error}") from error
    finally:
        network.train(was_training)
    if not isinstance(out, Tensor) or out.shape != (2, classes):
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise UserError(
            f"model.name: {name} must give logits of shape (2, {classes}) for two images, it gave "
            f"{shape}"
        )

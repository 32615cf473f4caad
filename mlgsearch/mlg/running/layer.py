"""Modules that become compressed in place: their class is set, their weight is parametrized.

Reading the weight generates it. ``init.*_`` on that weight does nothing that lasts.
"""

from typing import cast

from torch import nn
from torch.nn.utils import parametrize

from mlgsearch.errors import SettingError
from mlgsearch.mlg.factoring.parametrization import Mlg, latents_of, parametrization_of
from mlgsearch.mlg.input_quantiser import InBits, InputQuantiser
from mlgsearch.mlg.kinds import Layer, compressible_layers
from mlgsearch.mlg.running.composite import COMPOSITES
from mlgsearch.mlg.running.execution import Execution
from mlgsearch.mlg.running.factored_layers import MlgConv1d, MlgConv2d, MlgConv3d, MlgLinear
from mlgsearch.mlg.running.own_forms import OwnForms

#: The class that takes over from each plain class; a subclass keeps its own, and its dense forward.
TWINS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: MlgConv1d,
    nn.Conv2d: MlgConv2d,
    nn.Conv3d: MlgConv3d,
    nn.Linear: MlgLinear,
    **COMPOSITES,
}


def parametrize_layer(
    layer: Layer, mlg: Mlg, execution: Execution = "auto", in_bits: InBits = 32
) -> None:
    """Compress one layer in place: set its class, project its weight, make the factors trainable.

    Every place that is tied to it gets the same factors. Below 32 ``in_bits`` its inputs are
    quantised, if it can (see ``can_quantise_input``).

    Raises:
        SettingError: the weight is parametrized already, or does not have the shape of ``mlg``.
        DataError: the weight holds a value that is not finite.
    """
    if parametrize.is_parametrized(layer.module, layer.parameter):
        raise SettingError("the layer's weight is parametrized already")
    module, original = layer.module, type(layer.module)
    _adopt(module, execution)
    mlg.train(module.training)
    try:
        parametrize.register_parametrization(module, layer.parameter, mlg)
    except Exception:
        module.__class__ = original
        raise
    for latent in latents_of(module, layer.parameter):
        latent.requires_grad_()  # a frozen teacher's factors would be frozen
    for other, parameter in layer.tied:
        _tie(other, parameter, layer, execution)
    if in_bits != 32:
        for place in layer.alike:
            if isinstance(place, OwnForms):
                quantiser = InputQuantiser(in_bits).to(latents_of(module)[0])
                place.input_quantiser = quantiser.train(place.training)


def _adopt(module: nn.Module, execution: Execution) -> None:
    """Set the class of a plain module that has a twin."""
    if type(module) in TWINS:
        module.__class__ = TWINS[type(module)]
        if isinstance(module, OwnForms):
            module.adopt(execution)


def _tie(module: nn.Module, parameter: str, owner: Layer, execution: Execution) -> None:
    """Make a module generate a weight from the factors of another.

    ``register_parametrization`` makes factors of its own, so its steps are taken one by one (torch
    2.14); the throw-away parametrization lets it make the class and the property.
    """
    if module in owner.alike:  # forms follow from the shape
        _adopt(module, execution)
    elif type(module) in COMPOSITES:
        module.__class__ = COMPOSITES[type(module)]
    parametrize.register_parametrization(module, parameter, nn.Identity(), unsafe=True)
    lists = cast(nn.ModuleDict, module.parametrizations)
    lists[parameter] = parametrization_of(owner.module, owner.parameter)


def avoid_fast_path(model: nn.Module) -> None:
    """Make torch's transformer layers call their parts, in place.

    In eval mode they read the weights of their linear layers and do the rest in a kernel of their
    own (torch 2.14), past input quantisers and forms.
    """
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0


def can_quantise_input(module: nn.Module) -> bool:
    """Return whether a layer is, or would be, computed in our forms: no subclass of torch's is."""
    twin = TWINS.get(type(module), type(module))
    return issubclass(twin, OwnForms)


def quantisable_places(model: nn.Module) -> dict[nn.Module, str]:
    """Return the places whose inputs can be quantised, with the names of their layers."""
    return {
        place: name
        for name, layer in compressible_layers(model).items()
        for place in layer.alike
        if can_quantise_input(place)
    }

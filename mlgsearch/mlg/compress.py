"""Turn a trained network into a student, and a student back into a plain network."""

from collections.abc import Mapping
from copy import deepcopy
from typing import cast, get_args

import torch
from torch import nn
from torch.nn.utils import parametrize

from mlgsearch.errors import DataError, SettingError
from mlgsearch.mlg.factoring.parametrization import Mlg, layer_factors
from mlgsearch.mlg.half_norm import NormBits, halve_norms, is_half, plain_norm
from mlgsearch.mlg.input_quantiser import (
    InputQuantisedConv1d,
    InputQuantisedConv2d,
    InputQuantisedConv3d,
    InputQuantisedLinear,
    LayerInBits,
    bits_by_layer,
)
from mlgsearch.mlg.kinds import compressed_weights, compressible_layers
from mlgsearch.mlg.layout import to_layout
from mlgsearch.mlg.network import require_same_names
from mlgsearch.mlg.quantise import Method
from mlgsearch.mlg.running.execution import Execution
from mlgsearch.mlg.running.layer import TWINS, avoid_fast_path, parametrize_layer
from mlgsearch.mlg.running.own_forms import OWN_ATTRIBUTES
from mlgsearch.mlg.setting import LayerSetting


def compress(
    model: nn.Module,
    settings: Mapping[str, LayerSetting],
    *,
    method: Method = "dorefa",
    refine_steps: int = 3,
    execution: Execution = "auto",
    norm_bits: NormBits = 32,
    in_bits: LayerInBits = 32,
    noise_ratio: float = 1.0,
    projects: bool = True,
) -> dict[str, float]:
    """Replace a model's weights by the factors of the settings, in place.

    Every layer of ``compressible_layers`` needs a setting; settings are made canonical. A layer
    that is plain at 32 bits stays the module it was. Places that share a weight share its factors.
    Factors are trainable even where the weight was frozen. Load the teacher first: afterwards a
    weight's key in the state is ``parametrizations.weight.original0`` and so on, and only
    state_dicts can be saved, not modules.

    With ``norm_bits`` 16 every batch-norm evaluates with the scale and the shift that are stored in
    half precision (see ``half_norm``). Below 32 ``in_bits`` are those of the inputs of every
    compressed layer, or a tuple with those of each layer (see ``input_quantiser``); a subclass of
    torch's own layers takes its inputs as they are. ``noise_ratio`` is the share of entries that
    are quantised in a training step (see ``Mlg``). Without ``projects`` the weights are dropped and
    all factors are zero: use it where a state_dict is loaded next.

    Nothing is changed where the settings or the weights are at fault.

    Returns:
        Each layer's relative error ||W - W_hat||_F / ||W||_F, smaller is better; NaN of a layer
        that is not projected.

    Raises:
        SettingError: a layer has no setting, or a setting names no layer or does not fit it; a
            layer is parametrized (so compressed) already; the method, ``norm_bits``, ``in_bits`` or
            ``noise_ratio`` is unknown.
        DataError: a weight holds a value that is not finite.
    """
    if norm_bits not in get_args(NormBits):
        raise SettingError(f"norm_bits is {norm_bits!r}, expected 16 or 32")
    layers = compressible_layers(model)
    input_bits = bits_by_layer(in_bits, layers)
    require_same_names(settings.keys(), layers.keys())
    prepared: dict[str, Mlg] = {}
    for name, layer in layers.items():
        for place, _ in ((layer.module, layer.parameter), *layer.tied):
            if parametrize.is_parametrized(place):
                which = ", ".join(cast(nn.ModuleDict, place.parametrizations))
                raise SettingError(f"layer {name!r}: its {which} is parametrized already")
        try:
            canonical = settings[name].canonical(layer.shape)
            mlg = Mlg(canonical, layer.shape, method, refine_steps, noise_ratio, projects=projects)
        except SettingError as error:
            raise SettingError(f"layer {name!r}: {error}") from error
        if not torch.isfinite(layer.weight).all():
            raise DataError(f"layer {name!r}: its weight holds values that are not finite")
        if canonical != LayerSetting.plain(32):
            prepared[name] = mlg
    errors = dict.fromkeys(layers, 0.0)
    for name, mlg in prepared.items():
        parametrize_layer(layers[name], mlg, execution, input_bits[name])
        errors[name] = mlg.relative_error
    if norm_bits == 16:
        halve_norms(model)
    avoid_fast_path(model)
    return errors


@torch.no_grad()
def densify(model: nn.Module, *, keeps_input_quantisers: bool = True) -> nn.Module:
    """Return a plain copy of a student: the original classes, generated weights written in.

    The student is untouched and shares nothing with the copy, whose weights are trainable. (A
    copy with the parametrizations removed would break the student: copies share the class that
    parametrize makes.) A batch-norm in half precision becomes a plain one that computes the same in
    eval mode; its statistics are lost, so train with it no more.

    Where inputs are quantised the copy's layers do so too, in a subclass of torch's own, unless
    they are to be left as they are: then it computes something else, but it is a plain network.
    """
    copies: dict[int, object] = {}
    weights: dict[int, nn.Parameter] = {}
    for module in reversed(list(model.modules())):  # what is inside a compressed module first
        if compressed_weights(module):
            copies[id(module)] = _plain_copy(
                module, copies, weights, keeps_input_quantiser=keeps_input_quantisers
            )
        elif is_half(module):
            copies[id(module)] = plain_norm(module)
    plain: nn.Module = deepcopy(model, copies)
    return plain


#: What a layer of a plain class becomes where it keeps its input quantiser.
_INPUT_QUANTISED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: InputQuantisedConv1d,
    nn.Conv2d: InputQuantisedConv2d,
    nn.Conv3d: InputQuantisedConv3d,
    nn.Linear: InputQuantisedLinear,
}


def _plain_copy(
    module: nn.Module,
    copies: dict[int, object],
    weights: dict[int, nn.Parameter],
    *,
    keeps_input_quantiser: bool,
) -> nn.Module:
    """Return one compressed module as an instance of its original class.

    ``weights`` has those that were generated so far, by what generates them, so that what is tied
    stays so.
    """
    compressed_class = type(module).__mro__[1]  # below the class that parametrize made
    originals = {twin: plain for plain, twin in TWINS.items()}
    original = originals.get(compressed_class, compressed_class)
    state = {k: v for k, v in vars(module).items() if k not in (*OWN_ATTRIBUTES, "_modules")}
    dropped = {"parametrizations"}
    if "input_quantiser" in module._modules:
        if keeps_input_quantiser:
            original = _INPUT_QUANTISED[original]
        else:
            dropped.add("input_quantiser")
    state["_modules"] = {k: v for k, v in module._modules.items() if k not in dropped}
    generated: dict[str, nn.Parameter] = {}
    for parameter, mlg in compressed_weights(module).items():
        if id(mlg) not in weights:
            canonical = layer_factors(module, parameter).weight(mlg.shape.canonical_shape)
            weights[id(mlg)] = nn.Parameter(to_layout(canonical, mlg.shape).contiguous().clone())
        generated[parameter] = weights[id(mlg)]
        copies[id(generated[parameter])] = generated[parameter]  # not copied once more
    state["_parameters"] = {**generated, **module._parameters}
    plain: nn.Module = original.__new__(original)
    vars(plain).update(deepcopy(state, copies))
    if isinstance(plain, nn.RNNBase):
        plain._init_flat_weights()
    return plain

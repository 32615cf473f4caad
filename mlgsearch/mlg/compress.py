"""Turn a trained network into a student, and a student back into a plain network."""

from collections.abc import Mapping
from copy import deepcopy
from typing import cast, get_args

import torch
from torch import nn
from torch.nn.utils import parametrize

from mlgsearch.errors import DataError, SettingError
from mlgsearch.mlg.execution import Execution
from mlgsearch.mlg.factors import Factors
from mlgsearch.mlg.half_norm import HalfNorm, NormBits, halve_norms, plain_norm
from mlgsearch.mlg.input_quantiser import InBits, InputQuantisedConv2d, InputQuantisedLinear
from mlgsearch.mlg.layer import TWINS, is_compressed, layer_factors, mlg_of, parametrize_layer
from mlgsearch.mlg.network import compressible_layers, layer_shape, require_same_names
from mlgsearch.mlg.parametrization import Mlg
from mlgsearch.mlg.quantise import Method
from mlgsearch.mlg.setting import LayerSetting


def compress(
    model: nn.Module,
    settings: Mapping[str, LayerSetting],
    *,
    method: Method = "dorefa",
    refine_steps: int = 3,
    execution: Execution = "auto",
    norm_bits: NormBits = 32,
    in_bits: InBits = 32,
    noise_ratio: float = 1.0,
    projects: bool = True,
) -> dict[str, float]:
    """Replace a model's weights by the factors of the settings, in place.

    Every convolution and linear layer needs a setting; settings are made canonical. A layer that
    is plain at 32 bits stays the module it was. Factors are trainable even where the weight was
    frozen. Load the teacher first: afterwards a weight's key in the state is
    ``parametrizations.weight.original0`` and so on, and only state_dicts can be saved, not modules.

    With ``norm_bits`` 16 every batch-norm evaluates with the scale and the shift that are stored in
    half precision (see ``half_norm``). Below 32 ``in_bits`` are those of the inputs of every
    compressed layer (see ``input_quantiser``); a subclass of torch's own layers takes its inputs as
    they are. ``noise_ratio`` is the share of entries that are quantised in a training step (see
    ``Mlg``). Without ``projects`` the weights are dropped and all factors are zero: for one who
    loads the state of an equal student next.

    Nothing is changed where the settings or the weights are at fault.

    Returns:
        Each layer's relative error ||W - W_hat||_F / ||W||_F, smaller is better; NaN of a layer
        that is not projected.

    Raises:
        SettingError: a layer has no setting, or a setting names no layer or does not fit it; a
            layer is parametrized (so compressed) already or shares its weight with another; the
            method, ``norm_bits``, ``in_bits`` or ``noise_ratio`` is unknown.
        DataError: a weight holds a value that is not finite.
    """
    if norm_bits not in get_args(NormBits):
        raise SettingError(f"norm_bits is {norm_bits!r}, expected 16 or 32")
    if in_bits not in get_args(InBits):
        raise SettingError(f"in_bits is {in_bits!r}, expected 2 to 8 or 32")
    layers = compressible_layers(model)
    require_same_names(settings.keys(), layers.keys())
    prepared: dict[str, Mlg] = {}
    owner: dict[int, str] = {}
    for name, module in layers.items():
        if parametrize.is_parametrized(module):
            which = ", ".join(cast(nn.ModuleDict, module.parametrizations))
            raise SettingError(f"layer {name!r}: its {which} is parametrized already")
        other = owner.setdefault(id(module.weight), name)
        if other != name:
            raise SettingError(f"layers {other!r} and {name!r} share one weight: untie them first")
        shape = layer_shape(module)
        try:
            canonical = settings[name].canonical(shape)
            mlg = Mlg(canonical, shape, method, refine_steps, noise_ratio, projects=projects)
        except SettingError as error:
            raise SettingError(f"layer {name!r}: {error}") from error
        if not torch.isfinite(module.weight).all():
            raise DataError(f"layer {name!r}: its weight holds values that are not finite")
        if canonical != LayerSetting.plain(32):
            prepared[name] = mlg
    errors = dict.fromkeys(layers, 0.0)
    for name, mlg in prepared.items():
        parametrize_layer(layers[name], mlg, execution, in_bits)
        errors[name] = mlg.relative_error
    if norm_bits == 16:
        halve_norms(model)
    return errors


def factors(model: nn.Module) -> dict[str, Factors]:
    """Give the quantised factors of every compressed layer, by name, in the model's order."""
    return {
        name: layer_factors(module)
        for name, module in model.named_modules()
        if is_compressed(module)
    }


@torch.no_grad()
def densify(model: nn.Module, *, keeps_input_quantisers: bool = True) -> nn.Module:
    """Give a plain copy of a student: the original classes, generated weights written in.

    The student is untouched and shares nothing with the copy, whose weights are trainable. (A
    copy with the parametrizations removed would break the student: copies share the class that
    parametrize makes.) A batch-norm in half precision becomes a plain one that computes the same in
    eval mode; its statistics are lost, so train with it no more.

    Where inputs are quantised the copy's layers do so too, in a subclass of torch's own, unless
    they are to be left as they are: then it computes something else, but it is a plain network.
    """
    copies: dict[int, object] = {}
    for module in model.modules():
        if is_compressed(module):
            copies[id(module)] = _plain_copy(
                module, copies, keeps_input_quantiser=keeps_input_quantisers
            )
        elif isinstance(module, HalfNorm):
            copies[id(module)] = plain_norm(module)
    plain: nn.Module = deepcopy(model, copies)
    return plain


#: What a compressed layer has that its original has not.
_OURS = ("execution", "forms", "kept", "input_quantiser", "_modules")

#: What a layer of a plain class becomes where it keeps its input quantiser.
_INPUT_QUANTISED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: InputQuantisedConv2d,
    nn.Linear: InputQuantisedLinear,
}


def _plain_copy(
    module: nn.Module, copies: dict[int, object], *, keeps_input_quantiser: bool
) -> nn.Module:
    """Give one compressed layer as an instance of its original class."""
    compressed_class = type(module).__mro__[1]  # below the class that parametrize made
    originals = {twin: plain for plain, twin in TWINS.items()}
    original = originals.get(compressed_class, compressed_class)
    state = {k: v for k, v in vars(module).items() if k not in _OURS}
    dropped = {"parametrizations"}
    if "input_quantiser" in module._modules:
        if keeps_input_quantiser:
            original = _INPUT_QUANTISED[original]
        else:
            dropped.add("input_quantiser")
    state["_modules"] = {k: v for k, v in module._modules.items() if k not in dropped}
    mlg = mlg_of(module)
    weight = nn.Parameter(layer_factors(module).weight(mlg.shape.weight_shape).clone())
    state["_parameters"] = {"weight": weight, **module._parameters}
    plain: nn.Module = original.__new__(original)
    vars(plain).update(deepcopy(state, copies))
    return plain

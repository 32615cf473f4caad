"""Weights that a network computes from other parameters, written down as what they are.

Weight norm and spectral norm, as hooks or as parametrizations, are ways to train a weight. A
student trains factors instead, so what they give is taken as the weight.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from mlgsearch.mlg.running.eval_mode import in_eval_mode


@torch.no_grad()
def folded_copy(network: nn.Module) -> nn.Module:
    """Return a copy of a network with `fold` applied; the network itself stays as it is.

    A hook leaves a weight that was computed with gradients on its module, which torch does not
    copy: the copy gets its value.
    """
    values: dict[int, object] = {}
    for module in network.modules():
        for held in vars(module).values():
            for tensor in held if isinstance(held, list) else [held]:
                if isinstance(tensor, Tensor) and not tensor.is_leaf:
                    values[id(tensor)] = tensor.detach().clone()
    copied: nn.Module = deepcopy(network, values)
    fold(copied)
    return copied


@torch.no_grad()
def fold(network: nn.Module) -> None:
    """Replace, in place, what hooks and parametrizations compute by parameters of the same value.

    The value is that of eval mode; every module's mode is as before afterwards.
    """
    with in_eval_mode(network):
        for module in list(network.modules()):
            if parametrize.is_parametrized(module):
                _separate_class(module)
                for name in list(module.parametrizations):  # type: ignore[arg-type]
                    parametrize.remove_parametrizations(module, name, leave_parametrized=True)
                    value = getattr(module, name)
                    if not isinstance(value, nn.Parameter):  # of several tensors, without gradients
                        delattr(module, name)
                        module.register_parameter(name, nn.Parameter(value.detach().clone()))
            for hook in list(module._forward_pre_hooks.values()):
                if isinstance(hook, WeightNorm):
                    remove_weight_norm(module, hook.name)
                elif isinstance(hook, SpectralNorm):
                    remove_spectral_norm(module, hook.name)
            if isinstance(module, nn.RNNBase):  # it keeps a list of its weights
                module._init_flat_weights()


def _separate_class(module: nn.Module) -> None:
    """Set a class of its own on a module, in place of the one that parametrize made.

    Copies share it (torch 2.14), and removing a parametrization of one would break the others.
    """
    shared = type(module)
    own = {k: v for k, v in vars(shared).items() if k not in ("__dict__", "__weakref__")}
    module.__class__ = type(shared.__name__, shared.__bases__, own)

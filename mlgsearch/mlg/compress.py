"""Turn a trained network into a student, and a student back into a plain network."""

from collections.abc import Mapping
from typing import Literal

from torch import nn

from mlgsearch.mlg.factors import Factors
from mlgsearch.mlg.setting import ExecutionForm, LayerSetting

Method = Literal["dorefa", "lsq"]


def compress(
    model: nn.Module,
    settings: Mapping[str, LayerSetting],
    *,
    method: Method = "dorefa",
    refine_steps: int = 3,
    execution: ExecutionForm | Literal["auto"] = "auto",
) -> dict[str, float]:
    """Replace a model's weights by the factors of the settings, in place.

    Every convolution and linear layer needs a setting; settings are made canonical. A layer that
    is plain at 32 bits stays the module it was.

    Returns:
        Each layer's relative error ||W - W_hat||_F / ||W||_F, smaller is better.

    Raises:
        SettingError: a layer has no setting, or a setting names no layer or does not fit it.
    """
    raise NotImplementedError


def factors(model: nn.Module) -> dict[str, Factors]:
    """Give the quantised factors of every compressed layer, by name."""
    raise NotImplementedError


def densify(model: nn.Module) -> nn.Module:
    """Give a plain copy of a student: original classes, generated weights; the student is kept."""
    raise NotImplementedError

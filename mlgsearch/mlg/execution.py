"""Which form a compressed layer is computed in: a cost in multiply-accumulates, with penalties.

A training step is timed, not a forward pass alone: forward and backward cost about three times
the multiply-accumulates in every form, so the factor is left out. The penalties were fitted to
steps of single layers (16 to 512 channels, 4x4 to 32x32, batches of 32 and 64) on a CPU of 2
cores with torch 2.14.1. They need only to rank the forms.
"""

from typing import Literal

from mlgsearch.mlg.setting import ExecutionForm, LayerSetting, LayerShape

Execution = Literal["auto", "dense", "level2", "three_stage"]

#: A multiply-accumulate of a depthwise convolution takes as long as this many of a pointwise one;
#: reading and writing the two tensors in between is part of it.
DEPTHWISE_PENALTY = 16.0

#: A further convolution takes as long as this many multiply-accumulates to get going.
STAGE_MACS = 3e6


def form_costs(
    setting: LayerSetting, shape: LayerShape, batch: int = 1
) -> dict[ExecutionForm, float]:
    """Estimate the time of every form a canonical setting allows, in multiply-accumulates.

    The samples' own are ``LayerSetting.form_macs``, so a stride counts by its larger input. To
    these come what a form generates, once a batch (``dense`` both levels, ``level2`` level 1), and
    the penalties. Smaller is better.

    Raises:
        SettingError: the setting is not canonical for this shape.
    """
    costs: dict[ExecutionForm, float] = {
        form: float(batch * macs) for form, macs in setting.form_macs(shape).items()
    }
    rows = setting.base_out or shape.c_out
    channels = rows * setting.base_in
    costs["dense"] += setting.generation_macs(shape)
    if "level2" in costs:
        costs["level2"] += channels * shape.c_in * shape.kernel_area + STAGE_MACS
    if "three_stage" in costs:
        depthwise = batch * shape.out_positions * channels * shape.kernel_area
        costs["three_stage"] += (DEPTHWISE_PENALTY - 1) * depthwise + 2 * STAGE_MACS
    return costs


def choose_form(
    setting: LayerSetting, shape: LayerShape, batch: int = 1, execution: Execution = "auto"
) -> ExecutionForm:
    """Give the form to compute a layer in; a wanted form that the layer lacks falls to dense.

    Raises:
        SettingError: the setting is not canonical for this shape.
    """
    costs = form_costs(setting, shape, batch)
    if execution == "auto":
        return min(costs, key=costs.__getitem__)
    return execution if execution in costs else "dense"

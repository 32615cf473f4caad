"""Which form a compressed layer is computed in: a cost in multiply-accumulates.

A form's time is its multiply-accumulates, the floats that its convolutions read and write, and the
convolutions themselves, each weighed by the constants below. They were fitted to single layers (16
to 512 channels, 4x4 to 32x32, strides 1 and 2, batches of 1, 8 and 64, forward alone, and forward
and backward in float32 and bfloat16) on one thread of a CPU with AVX-512 and torch 2.14.1. There
the form chosen by them took 4 to 8 % more time than the fastest form of each layer, summed over 208
layers. `benchmarks/forms.py` measures it again: 1 % over 32 layers at batch 64. The constants are
fixed, not fitted where they run, so that a packed file chooses alike wherever it is loaded. A
training step costs about three times a forward pass in every form, so one rule serves both.
"""

from typing import Literal

from mlgsearch.mlg.setting import ExecutionForm, LayerSetting, LayerShape

Execution = Literal["auto", "dense", "level2", "three_stage"]

#: A float that a convolution reads or writes takes as long as this many multiply-accumulates.
FLOAT_MACS = 20.0

#: A convolution takes as long as this many multiply-accumulates to get going.
CALL_MACS = 3e5


def form_costs(
    setting: LayerSetting, shape: LayerShape, batch: int = 1, *, generates: bool = True
) -> dict[ExecutionForm, float]:
    """Estimate the time of every form a canonical setting allows, in multiply-accumulates.

    The samples' own are ``LayerSetting.form_macs``, so a stride counts by its larger input. With
    ``generates`` (as in training) come those that generate a form's weights, once per batch:
    ``dense`` both levels, ``level2`` level 1. Smaller is better.

    Raises:
        SettingError: the setting is not canonical for this shape.
    """
    ends = shape.in_positions * shape.c_in * shape.groups + shape.out_positions * shape.c_out
    rows = setting.base_out or shape.c_out
    channels = rows * setting.base_in
    summed = rows if setting.base_out else 0  # channels of the sum over B_in, where it goes on
    between = {  # floats of one sample that one stage writes and the next one reads
        "dense": 0,
        "level2": shape.out_positions * rows,
        "three_stage": shape.in_positions * channels + shape.out_positions * (channels + summed),
    }
    calls = {"dense": 1, "level2": 2, "three_stage": 3}
    generated = {
        "dense": setting.generation_macs(shape),
        "level2": channels * shape.c_in * shape.kernel_area,
        "three_stage": 0,
    }
    return {
        form: batch * (macs + FLOAT_MACS * (ends + 2 * between[form]))
        + CALL_MACS * calls[form]
        + generates * generated[form]
        for form, macs in setting.form_macs(shape).items()
    }


def choose_form(
    setting: LayerSetting,
    shape: LayerShape,
    batch: int = 1,
    execution: Execution = "auto",
    *,
    generates: bool = True,
) -> ExecutionForm:
    """Return the form to compute a layer in; a wanted form that the layer lacks falls to dense.

    Where forms cost the same, the simpler one is taken.

    Raises:
        SettingError: the setting is not canonical for this shape.
    """
    costs = form_costs(setting, shape, batch, generates=generates)
    if execution == "auto":
        return min(costs, key=costs.__getitem__)  # simpler forms come first
    return execution if execution in costs else "dense"

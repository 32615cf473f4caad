"""Which form onnxruntime computes a layer in.

One rule for all targets, from what docs/onnx.md reports: on whole networks the form of fewest
multiplications was the fastest wherever it takes less than half of the dense form's and the layer
is large. What is smaller spends its time on calls and on reading floats, so dense is faster.
"""

from typing import Literal

from mlgsearch.mlg.setting import LayerSetting, LayerShape

#: What a layer is computed as in an ONNX file.
OnnxForm = Literal["dense", "level2", "depthwise"]

#: A layer is factored from so many multiplications of its dense form per image on, and where
#: factored it takes at most this share of them: see docs/onnx.md for what was measured.
LARGE_MACS = 1_000_000
FACTORED_SHARE = 0.5


def onnx_form(setting: LayerSetting, shape: LayerShape) -> OnnxForm:
    """Return the form in which onnxruntime computes a layer fastest, of a canonical setting.

    Multiplications of one image in each form, with P output and P_in input positions:

    - ``dense``: ``P*C_out*C_in*k*k``
    - ``level2``: ``P*B_out*(C_in*k*k + C_out)``
    - ``depthwise``: ``P_in*C_in*B_out*B_in + P*B_out*B_in*(k*k + C_out)``
    """
    macs = form_macs(setting, shape)
    best = min(macs, key=macs.__getitem__)
    is_worth = macs["dense"] >= LARGE_MACS and macs[best] < FACTORED_SHARE * macs["dense"]
    return best if is_worth else "dense"


def form_macs(setting: LayerSetting, shape: LayerShape) -> dict[OnnxForm, int]:
    """Return the multiplications of one image in each form that a canonical setting allows."""
    positions, area = shape.out_positions, shape.kernel_area
    macs: dict[OnnxForm, int] = {"dense": positions * shape.weight_numel}
    if shape.groups > 1 or not setting.base_out:
        return macs
    macs["level2"] = positions * setting.base_out * (shape.c_in * area + shape.c_out)
    if setting.base_in:
        channels = setting.base_out * setting.base_in
        first = shape.in_positions * shape.c_in * channels
        macs["depthwise"] = first + positions * channels * (area + shape.c_out)
    return macs

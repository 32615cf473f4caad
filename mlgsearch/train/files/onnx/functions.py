"""The local functions of a compressed ONNX file: stock operators that make codes weights again.

They take pieces of the *streams* ``codes``, ``numbers`` and ``halves`` of a packed file
(docs/packed.md): flat tensors that the graph splits first of all.

Every convolution ends in a scale and a shift per output channel, ``p`` of shape (2, C_out), where
batch-norm follows; else in its bias, where it has one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from onnx import FunctionProto, TensorProto

from mlgsearch.mlg.quantise import Method
from mlgsearch.train.files.onnx.body import ALL, Body, Passed
from mlgsearch.train.files.onnx.graph import DOMAIN

#: How a factor is stored: at 2 to 16 bits, at one, or as it is.
Coding = Literal["Codes", "Signs", "Raw"]

#: What a convolution adds in the end.
Ending = Literal["Norm", "Bias", ""]


#: A factor's attribute, as the paper names its bits (q_b, q_u, q_v).
LETTERS = {"basis": "b", "coeff_in": "u", "coeff_out": "v"}


def coding(bits: int) -> Coding:
    """Return how a factor at some bits is stored."""
    return "Raw" if bits == 32 else "Signs" if bits == 1 else "Codes"


def raw() -> FunctionProto:
    """``n -> value``: numbers as they are stored, of shape ``a``, in float32."""
    body = Body()
    value = body.op("Cast", "n", to=TensorProto.FLOAT)
    body.op("Reshape", value, body.passed_ints("a"), out="y")
    return body.function("Raw", ["n"], ["y"], ["a"])


def codes(method: Method, *, is_sign: bool) -> FunctionProto:
    """``c, n -> value``: one factor of codes and scales at ``a = (bits, *shape)``.

    Code ``i`` takes the bits from ``i * bits`` on, lowest first.
    """
    body = Body()
    a = body.passed_ints("a")
    zero, one, all_ = body.ints(0), body.ints(1), body.ints(ALL)
    bits, shape = body.op("Slice", a, zero, one), body.op("Slice", a, one, all_)
    used = body.op("Mul", body.op("ReduceProd", shape), bits)
    stream = body.op("Unsqueeze", "c", one)
    places = body.array(np.arange(8, dtype=np.uint8))
    stream = body.op("BitShift", stream, places, direction="RIGHT")  # (bytes, 8)
    stream = body.op("BitwiseAnd", stream, body.array(np.array(1, np.uint8)))
    back = body.ints(-1)
    stream = body.op("Slice", body.op("Reshape", stream, back), zero, used)
    rows = body.op("Reshape", stream, body.op("Concat", back, bits, axis=0))  # (codes, bits)
    rows = body.op("Cast", rows, to=TensorProto.FLOAT)
    ends = (body.op("Squeeze", end) for end in (zero, bits, one))
    places = body.op("Cast", body.op("Range", *ends), to=TensorProto.FLOAT)
    two = body.number(2.0)
    code = body.op("MatMul", rows, body.op("Pow", two, places))
    decode = _signs if is_sign else DECODERS[method]
    levels = body.op("Pow", two, body.op("Cast", bits, to=TensorProto.FLOAT))
    value = decode(body, code, levels, "n")
    body.op("Reshape", value, shape, out="y")
    return body.function("Signs" if is_sign else "Codes", ["c", "n"], ["y"], ["a"])


def _even(body: Body, code: str, levels: str) -> str:
    """Append levels that lie evenly from -1 to 1."""
    unit = body.number(1.0)
    top = body.op("Sub", levels, unit)
    return body.op("Sub", body.op("Div", body.op("Mul", code, body.number(2.0)), top), unit)


def _signs(body: Body, code: str, levels: str, scales: str) -> str:
    return body.op("Mul", _even(body, code, levels), scales)


def _dorefa(body: Body, code: str, levels: str, scales: str) -> str:
    value = _even(body, code, levels)
    gain, largest = body.ops("Split", scales, outs=["g", "l"], num_outputs=2)
    return body.op("Mul", body.op("Mul", value, largest), gain)


def _lsq(body: Body, code: str, levels: str, scales: str) -> str:
    middle = body.op("Div", levels, body.number(2.0))
    return body.op("Mul", body.op("Sub", code, middle), scales)


def _lsq_symmetric(body: Body, code: str, levels: str, scales: str) -> str:
    middle = body.op("Sub", body.op("Div", levels, body.number(2.0)), body.number(0.5))
    return body.op("Mul", body.op("Sub", code, middle), scales)


#: What appends a quantiser's `decode` to a function: of codes as float32 in their rows, the number
#: of levels, 2**bits, and its scales, each the name of a value; returns that of the decoded ones.
DECODERS: dict[Method, Callable[[Body, str, str, str], str]] = {
    "dorefa": _dorefa,
    "lsq": _lsq,
    "lsq_symmetric": _lsq_symmetric,
}


def weight(name: str, factors: dict[str, Coding]) -> FunctionProto:
    """``codes and scales of each factor -> weight``: factors multiplied, of shape ``s``.

    ``factors`` are two or three, in the order basis, coeff_in, coeff_out. Each has an attribute of
    its letter that is ``a`` of the function that decodes it, and the inputs of that function.
    """
    body = Body()
    inputs: list[str] = []
    values = {}
    for factor, stored in factors.items():
        letter = LETTERS[factor]
        taken = [f"{letter}{kind}" for kind in ("n" if stored == "Raw" else "cn")]
        values[factor] = body.op(stored, *taken, domain=DOMAIN, a=Passed(letter))
        inputs += taken
    product = values["basis"]
    if "coeff_in" in values:
        product = body.op("MatMul", values["coeff_in"], product)
    if "coeff_out" in values:
        product = body.op(
            "MatMul", values["coeff_out"], body.op("Reshape", product, body.ints(0, -1))
        )
    body.op("Reshape", product, body.passed_ints("s"), out="y")
    return body.function(name, inputs, ["y"], ["s", *(LETTERS[factor] for factor in factors)])


def quantise(bits: int) -> FunctionProto:
    """``x, z -> y``: inputs at ``bits``; ``z`` holds their scale and their zero point."""
    body = Body()
    scale, zero_point = body.ops("Split", "z", outs=["s", "o"], num_outputs=2)
    code = body.op("Round", body.op("Add", body.op("Div", "x", scale), zero_point))
    code = body.op("Clip", code, body.number(0.0), body.number(2.0**bits - 1))
    body.op("Mul", body.op("Sub", code, zero_point), scale, out="y")
    return body.function("Quantise", ["x", "z"], ["y"], [])


def norm() -> FunctionProto:
    """``x, p -> y``: batch-norm of scales and shifts ``p``, (2, C), over axis 1."""
    body = Body()
    scale, shift = _scale_and_shift(body)
    zeros = body.op("Sub", shift, shift)
    ones = body.op("Add", zeros, body.number(1.0))
    body.op("BatchNormalization", "x", scale, shift, zeros, ones, out="y", epsilon=0.0)
    return body.function("Norm", ["x", "p"], ["y"], [])


def dense(name: str, ending: Ending) -> FunctionProto:
    """``x, w[, p] -> y``: a convolution with a weight."""
    body = Body()
    _last(body, "x", "w", ending, _SPATIAL | {"group": Passed("group")})
    return body.function(name, ["x", "w", *_ends(ending)], ["y"], [*_SPATIAL, "group"])


def level2(name: str, ending: Ending) -> FunctionProto:
    """``x, w, v[, p] -> y``: k x k to B_out with W_c of any shape made ``s``, then 1x1."""
    body = Body()
    kernels = body.op("Reshape", "w", body.passed_ints("s"))
    hidden = body.op("Conv", "x", kernels, **_SPATIAL)
    _last(body, hidden, _point(body, "v"), ending, {})
    return body.function(name, ["x", "w", "v", *_ends(ending)], ["y"], ["s", *_SPATIAL])


def depthwise(name: str, ending: Ending) -> FunctionProto:
    """``x, b, u, v[, p] -> y``: 1x1 to B_out*B_in, one k x k filter per channel, 1x1.

    ``s`` is (B_out*B_in, 1, height, width), ``t`` (1, 1, B_in): the last 1x1 has each column of
    coeff_out once per B_in, which sums over B_in.
    """
    body = Body()
    mix = body.op("Transpose", "u", perm=[0, 2, 1])  # (B_out, B_in, C_in)
    mix = body.op("Reshape", mix, body.passed_ints("f"))
    hidden = body.op("Conv", "x", mix)
    basis = body.op("Reshape", "b", body.passed_ints("s"))
    hidden = body.op("Conv", hidden, basis, **_SPATIAL, group=Passed("group"))
    columns = body.op("Unsqueeze", "v", body.ints(2))
    columns = body.op("Tile", columns, body.passed_ints("t"))
    _last(body, hidden, _point(body, columns), ending, {})
    attributes = ["f", "s", "t", "group", *_SPATIAL]
    return body.function(name, ["x", "b", "u", "v", *_ends(ending)], ["y"], attributes)


#: Attributes of a convolution in space, taken from the function's.
_SPATIAL = {name: Passed(name) for name in ("strides", "pads", "dilations")}


def _ends(ending: Ending) -> Sequence[str]:
    return ["p"] if ending else []


def _scale_and_shift(body: Body) -> tuple[str, str]:
    """Split ``p`` into two of shape (C,)."""
    both = body.ops("Split", "p", outs=["s", "t"], num_outputs=2)
    scale, shift = (body.op("Squeeze", each, body.ints(0)) for each in both)
    return scale, shift


def _point(body: Body, coeff_out: str) -> str:
    """Return (C_out, ...) as the weight of a 1x1 convolution."""
    return body.op("Reshape", coeff_out, body.ints(0, -1, 1, 1))


def _last(body: Body, x: str, w: str, ending: Ending, attributes: Mapping[str, Any]) -> None:
    """Append the convolution that ends a layer; scale and shift become its weight and bias."""
    if ending == "Norm":
        scale, shift = _scale_and_shift(body)
        w = body.op("Mul", w, body.op("Reshape", scale, body.ints(-1, 1, 1, 1)))
        body.op("Conv", x, w, shift, out="y", **attributes)
    else:
        body.op("Conv", x, w, *_ends(ending), out="y", **attributes)

"""``student.h``: the codes, numbers and operations that ``mlg.c`` is compiled with."""

import json
from collections.abc import Iterable, Mapping

import numpy as np
from torch import Tensor

from mlgsearch.errors import UserError
from mlgsearch.train.files.c.program import SAME, Layer, Op, Program, Value
from mlgsearch.train.files.packed_card import PackedCard

#: Larger sides and channels are not expressed.
_MOST = 2**16 - 2


def header_text(program: Program, card: PackedCard, tensors: Mapping[str, Tensor]) -> str:
    """Return the header of a student.

    Raises:
        UserError: a layer has more channels or a longer side than the program can count.
    """
    channels, height, width = card.input_shape
    defines = {
        "CHANNELS": channels,
        "HEIGHT": height,
        "WIDTH": width,
        "CLASSES": card.classes,
        "METHOD": card.method.upper(),
        "INPUT": _place(program.image),
        "OUTPUT": _place(program.logits),
        "ARENA": program.arena,
        "SCRATCH": program.scratch,
    }
    halves = tensors["halves"].numpy().view(np.uint16).tolist() if "halves" in tensors else []
    numbers = [*tensors["numbers"].tolist(), *program.constants]
    # A name with */ in it must not end the comment.
    metadata = json.dumps(card.to_metadata(), indent=0).replace("/", "\\u002f")
    blocks = [
        f"/* Written by mlgsearch; compiled with mlg.c, which says how.\n{metadata[2:-2]} */",
        "\n".join(f"#define {name} {value}" for name, value in defines.items()),
        _array("float", "MEANS", map(_number, card.mean)),
        _array("float", "STDS", map(_number, card.std)),
        # Two bytes are read for each code, so one more must be there.
        _array("uint8_t", "CODES", map(str, [*tensors["codes"].tolist(), 0])),
        f"/* Of the packed file: {tensors['numbers'].numel()} of NUMBERS, {len(halves)} of HALVES. "
        "Behind its numbers lie the operations' own. */",
        _array("float", "NUMBERS", map(_number, numbers)),
        _array("uint16_t", "HALVES", map(str, halves)),
        _table("Layer", "LAYERS", map(_layer, program.layers)),
        _table("Shape", "SHAPES", (f"{{{_list(s)}, {_list(t)}}}" for s, t in program.shapes)),
        _table("Op", "OPS", map(_op, program.ops)),
    ]
    return "\n\n".join(blocks) + "\n"


def _place(value: Value) -> int:
    return value.at + (0 if value.buffer is None else value.buffer.at)


def _number(value: float) -> str:
    """Write a float32 in the fewest digits that bring it back."""
    return np.format_float_scientific(np.float32(value), trim="0") + "f"


def _array(kind: str, name: str, values: Iterable[str]) -> str:
    """C has no arrays of no entries, so there is one zero then."""
    lines = [""]
    for value in list(values) or ["0"]:
        if len(lines[-1]) + len(value) > 98:
            lines.append("")
        lines[-1] += value + ","
    return f"static const {kind} {name}[] = {{\n" + "\n".join(lines) + "\n};"


def _table(kind: str, name: str, rows: Iterable[str]) -> str:
    return (
        f"static const {kind} {name}[] = {{\n" + ",\n".join(list(rows) or ["{{0}, {0}}"]) + "\n};"
    )


def _list(values: Iterable[int]) -> str:
    return f"{{{', '.join(map(str, values))}}}"


def _layer(layer: Layer) -> str:
    setting = layer.setting
    sizes = {
        "c": layer.channels_in,
        "h": layer.sides[0],
        "w": layer.sides[1],
        "o": layer.channels_out,
        "oh": layer.sides_out[0],
        "ow": layer.sides_out[1],
        "kh": layer.kernel[0],
        "kw": layer.kernel[1],
        "sh": layer.stride[0],
        "sw": layer.stride[1],
        "ph": layer.pad[0],
        "pw": layer.pad[1],
        "dh": layer.dilation[0],
        "dw": layer.dilation[1],
        "groups": layer.groups,
        "b_in": setting.base_in,
        "b_out": setting.base_out,
    }
    if max(sizes.values()) > _MOST:
        raise UserError(
            f"a layer of {layer.channels_in} channels of {layer.sides[0]}x{layer.sides[1]} to "
            f"{layer.channels_out}: the C program counts to {_MOST:,}: export another format"
        )
    fields = sizes | {
        "q_basis": setting.q_basis,
        "q_coeff_in": setting.q_coeff_in,
        "q_coeff_out": setting.q_coeff_out,
        "form": layer.form,
        "end": layer.end,
        "codes": layer.codes,
        "numbers": layer.numbers,
        "ends": layer.ends,
    }
    return "{" + ", ".join(f".{name} = {value}" for name, value in fields.items() if value) + "}"


def _op(op: Op) -> str:
    at = "SAME" if op.at == SAME else op.at
    b = op.numbers
    if op.b is not None:
        b = _place(op.b)
    is_number = int(op.b is not None and op.b.buffer is None)
    places = f"{_place(op.x)}, {b}, {_place(op.y)}, {op.y.numel}"
    note = f" /* {op.note} */" if op.note else ""
    return f"{{{op.kind}, {op.of}, {at}, {places}, {is_number}}}{note}"

"""What choosing a layer's execution form by a cost loses against its fastest form.

    python benchmarks/forms.py [--channels N ...] [--sizes N ...] [--strides N ...]
                               [--batches N ...] [--modes MODE ...] [--repeats N]

Single compressed 3x3 layers, channels_last, one thread: as many channels out as in (twice as many
at stride 2), images of size x size. Every form that a setting allows is timed by turns, in
processor time. Modes: `forward` (float32, weights generated once), `float32` and `bfloat16` (a
training step of the layer: weights quantised and generated, forward and backward).

Prints a line for each layer, and for each mode and batch by how much the forms that
`mlgsearch.mlg.running.execution` chooses take longer than the fastest ones, summed over layers,
beside what always taking one form would cost. For other constants: `--float-macs`, `--call-macs`;
they need no new times if `--times FILE` names what an earlier run wrote with `--save FILE`.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from torch import nn

from mlgsearch.mlg.factoring.parametrization import Mlg
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.running import execution
from mlgsearch.mlg.running.generation import generated_once
from mlgsearch.mlg.running.layer import parametrize_layer
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.train.device import set_up_device

MODES = ("forward", "float32", "bfloat16")
SETTINGS = ((2, 44), (4, 16), (3, 0), (0, 24))
FORMS: tuple[execution.Execution, ...] = ("dense", "level2", "three_stage")

#: channels, size, stride, batch, B_in, B_out, mode
Key = tuple[int, int, int, int, int, int, str]


def shape_and_setting(key: Key) -> tuple[nn.Conv2d, LayerShape, LayerSetting]:
    """Return a plain layer, its shape on these images and its canonical setting."""
    channels, size, stride, _, base_in, base_out, _ = key
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, channels * stride, 3, stride, 1, bias=False)
    out = -(-size // stride)
    shape = replace(
        compressible_layers(layer)[""].shape, out_positions=out * out, in_positions=size * size
    )
    return layer, shape, LayerSetting(base_in, base_out, 4, 4, 4).canonical(shape)


def run_of(key: Key, form: execution.Execution) -> Callable[[], None]:
    """Return one pass through a layer in a form."""
    channels, size, _, batch, *_, mode = key
    layer, shape, setting = shape_and_setting(key)
    parametrize_layer(compressible_layers(layer)[""], Mlg(setting, shape, refine_steps=0), form)
    x = torch.randn(batch, channels, size, size).contiguous(memory_format=torch.channels_last)
    if mode == "forward":
        layer.eval()
        keeps = generated_once(layer)
        keeps.__enter__()

        def forward() -> None:
            with torch.inference_mode():
                layer(x)

        return forward
    x = x.to(torch.bfloat16 if mode == "bfloat16" else torch.float32).requires_grad_()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=mode == "bfloat16"):
            out = layer(x)
        out.backward(torch.ones_like(out))

    return step


def measure(key: Key, repeats: int) -> dict[str, float]:
    """Return the median milliseconds of every form, by turns; {} where there is one form only."""
    _, shape, setting = shape_and_setting(key)
    forms = [form for form in FORMS if form in setting.form_macs(shape)]
    if len(forms) == 1:
        return {}
    runs = {form: run_of(key, form) for form in forms}
    times: dict[str, list[float]] = defaultdict(list)
    for turn in range(repeats + 1):
        for form, run in runs.items():
            began = time.process_time()
            run()
            if turn:
                times[form].append(1000 * (time.process_time() - began))
    return {form: statistics.median(taken) for form, taken in times.items()}


def chosen(key: Key) -> str:
    """Return the form that a cost chooses."""
    _, shape, setting = shape_and_setting(key)
    return execution.choose_form(setting, shape, key[3], generates=key[-1] != "forward")


def summarise(times: dict[Key, dict[str, float]]) -> None:
    """Print the loss of each mode and batch, of the choice and of single forms."""
    groups: dict[tuple[str, int], list[tuple[Key, dict[str, float]]]] = defaultdict(list)
    for key, taken in times.items():
        groups[key[-1], key[3]].append((key, taken))
    for (mode, batch), layers in sorted(groups.items()):
        best = sum(min(taken.values()) for _, taken in layers)
        choices = {"chosen": sum(taken[chosen(key)] for key, taken in layers)}
        for form in FORMS:
            choices[form] = sum(taken.get(form, taken["dense"]) for _, taken in layers)
        losses = ", ".join(f"{name} {100 * (t / best - 1):.1f} %" for name, t in choices.items())
        print(f"{mode}, batch {batch}, {len(layers)} layers: {losses}")


def main() -> None:
    """Time layers, or read times, and print what the choice loses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", nargs="+", type=int, default=[16, 64, 128, 256, 512])
    parser.add_argument("--sizes", nargs="+", type=int, default=[4, 8, 16, 32])
    parser.add_argument("--strides", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--float-macs", type=float, default=execution.FLOAT_MACS)
    parser.add_argument("--call-macs", type=float, default=execution.CALL_MACS)
    parser.add_argument("--times", type=Path, help="read times from this file, measure nothing")
    parser.add_argument("--save", type=Path, help="write times to this file")
    arguments = parser.parse_args()
    execution.FLOAT_MACS, execution.CALL_MACS = arguments.float_macs, arguments.call_macs
    times: dict[Key, dict[str, float]] = {}
    if arguments.times:
        times = {tuple(key): taken for key, taken in json.loads(arguments.times.read_text())}
    else:
        set_up_device(torch.device("cpu"), 1)
        grid = product(
            arguments.channels,
            arguments.sizes,
            arguments.strides,
            arguments.batches,
            SETTINGS,
            arguments.modes,
        )
        for channels, size, stride, batch, bases, mode in grid:
            if channels * size > 4096:  # layers that no network of this kind has
                continue
            key = (channels, size, stride, batch, *bases, mode)
            taken = measure(key, arguments.repeats)
            if taken:
                times[key] = taken
                print(
                    key, {form: round(t, 3) for form, t in taken.items()}, chosen(key), flush=True
                )
    if arguments.save:
        arguments.save.write_text(json.dumps(list(times.items())))
    summarise(times)


if __name__ == "__main__":
    main()

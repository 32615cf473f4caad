"""`sizes`: what a network costs at a setting, before any training."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from mlgsearch.cli.options import Json
from mlgsearch.cli.printing.output import plain_table, print_json, stdout_console
from mlgsearch.errors import SettingError, UserError
from mlgsearch.records import FIVE_NAMES, FiveNumbers

if TYPE_CHECKING:
    from mlgsearch.train.files.size_report import SizeReport


class Stem(StrEnum):
    """How a torchvision network begins."""

    cifar = "cifar"
    imagenet = "imagenet"


class NormBits(StrEnum):
    """Bits of batch-norm's scales and shifts."""

    full = "32"
    half = "16"


def sizes(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="resnet8, resnet20, a torchvision classifier, ..."),
    ],
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")],
    setting: Annotated[
        str, typer.Option(metavar="FIVE", help="B_in,B_out,q_basis,q_coeff_in,q_coeff_out")
    ],
    stem: Annotated[Stem, typer.Option(help="How a torchvision network begins.")] = Stem.cifar,
    head_bias: Annotated[bool, typer.Option(help="Whether the head has a bias.")] = True,
    width: Annotated[int, typer.Option(min=1, max=512, help="Of resnet8 and resnet20.")] = 16,
    channels: Annotated[int, typer.Option(min=1, max=1024, help="Channels of an image.")] = 3,
    image_size: Annotated[
        int | None,
        typer.Option(min=4, max=1024, help="Side in pixels; 32, or 224 with --stem imagenet."),
    ] = None,
    norm_bits: Annotated[
        NormBits, typer.Option(help="Of batch-norm's scales and shifts.")
    ] = NormBits.full,
    as_json: Json = False,
) -> None:
    """Show what a network costs at the paper's uniform setting, before any training."""
    five = _five(setting)
    side = image_size or (224 if stem is Stem.imagenet else 32)

    from pydantic import ValidationError

    from mlgsearch.study.file.validation_messages import validation_messages
    from mlgsearch.train.files.size_report import size_report  # loads torch
    from mlgsearch.train.own_code import add_code_folder, names_code
    from mlgsearch.train.spec import ModelSpec

    try:
        spec = ModelSpec(name=model, stem=stem.value, width=width, head_bias=head_bias)
    except ValidationError as error:  # the options were bounded above: it is the name
        said = validation_messages(error, ModelSpec, "MODEL")[0]
        raise UserError(f"{said}; write for example resnet8, resnet18 or module:callable") from None
    if names_code(spec.name):
        add_code_folder(Path.cwd())
    report = size_report(
        spec,
        five,
        norm_bits=16 if norm_bits is NormBits.half else 32,
        classes=classes,
        channels=channels,
        image_size=(side, side),
    )
    if as_json:
        print_json({"model": model, **report_fields(report)})
    else:
        _print(model, report)


def report_fields(report: "SizeReport") -> dict[str, Any]:
    """Return a report as an object that JSON can hold."""
    from mlgsearch.train.files.size_report import layer_kind  # loads torch

    total = report.sizes
    return {
        "parameter_ratio": total.parameter_ratio,
        "memory_ratio": total.memory_ratio,
        "packed_bytes": report.packed_bytes,
        "parameters": total.parameters,
        "bits": total.bits,
        "generation_macs": total.generation_macs,
        "execution_macs": total.execution_macs,
        "not_compressed": dict(report.shape.others),
        "layers": [
            {
                "layer": name,
                "kind": layer_kind(shape),
                "weight": list(shape.weight_shape),
                "setting": list(report.settings[name].five),
                "parameters": report.settings[name].parameters(shape),
                "bits": report.settings[name].bits(shape),
            }
            for name, shape in report.shape.layers.items()
        ],
    }


def _five(text: str) -> FiveNumbers:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 5:
        raise SettingError(f"--setting: {text!r} is not five whole numbers such as 2,44,3,6,3")
    first, second, third, fourth, fifth = numbers
    return first, second, third, fourth, fifth


def _print(model: str, report: "SizeReport") -> None:
    table = plain_table(
        ("layer", "kind", *FIVE_NAMES, "parameters", "bits"), left=("layer", "kind")
    )
    fields = report_fields(report)
    for layer in fields["layers"]:
        table.add_row(
            escape(layer["layer"]),
            layer["kind"],
            *("-" if number == 0 else str(number) for number in layer["setting"]),
            f"{layer['parameters']:,}",
            f"{layer['bits']:,}",
        )
    out = stdout_console()
    out.print(table)
    total = report.sizes
    out.print(
        f"[bold]{escape(model)}[/]: parameter_ratio {total.parameter_ratio:.4f}, "
        f"memory_ratio {total.memory_ratio:.4f}, packed_bytes {report.packed_bytes}",
        highlight=False,
    )
    if (uncompressed := report.shape.uncompressed()) is not None:
        out.print(uncompressed, highlight=False, markup=False)

"""`evaluate`: an exported file, measured again."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from mlgsearch.cli.options import Json
from mlgsearch.cli.printing.output import plain_table, print_json, stdout_console
from mlgsearch.errors import DataError
from mlgsearch.paths import cache_directory

if TYPE_CHECKING:
    from mlgsearch.train.files.file_report import FileReport
    from mlgsearch.train.spec import DataSpec


class Part(StrEnum):
    """Which samples are looked at."""

    validation = "validation"
    test = "test"


def evaluate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Packed or ONNX file, or C folder.")],
    data: Annotated[
        str, typer.Option(metavar="DATA", help="digits, folder, CIFAR10, ..., or a study file.")
    ],
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that holds the data.")
    ] = None,
    part: Annotated[Part, typer.Option(help="Part of the data to measure on.")] = Part.validation,
    build: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="module:callable that builds a network of your own."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure an exported file: accuracy, loss, size, latency beside the dense network."""
    spec = _data_spec(data, root)

    from mlgsearch.train.files.file_report import file_report  # loads torch
    from mlgsearch.train.networks.models import make_own
    from mlgsearch.train.own_code import add_code_folder

    if build is not None or ":" in spec.name:
        add_code_folder(Path.cwd())
    own = None if build is None else partial(make_own, build, "--build")
    report = file_report(file, spec, part.value, cache_directory(), build=own)
    if as_json:
        print_json({"file": str(file), **evaluation_fields(report)})
    else:
        _print(file, report)


def evaluation_fields(report: "FileReport") -> dict[str, Any]:
    """Return a report as an object that JSON can hold."""
    return {
        "model": report.card.model.name,
        "study": report.card.study,
        "trial": report.card.trial,
        "part": report.part,
        "samples": report.samples,
        "judge": report.judge,
        "accuracy": report.accuracy,
        "loss": report.loss,
        "recorded_accuracy": report.card.accuracy,
        "packed_bytes": report.packed_bytes,
        "onnx_bytes": report.onnx_bytes,
        "coded_bytes": report.coded_bytes,
        "dense_bytes": report.dense_bytes,
        "latency": [vars(latency) for latency in report.latency],
        "c": None if report.c is None else vars(report.c),
    }


def _data_spec(data: str, root: Path | None) -> "DataSpec":
    """Return the data of a study file, or of a name, split as a study file does by default."""
    from pydantic import ValidationError

    from mlgsearch.study.file.study_file import load_study_file
    from mlgsearch.study.file.validation_messages import validation_messages  # loads pydantic
    from mlgsearch.train.spec import DataSpec

    if data.endswith((".yaml", ".yml")):
        spec, _ = load_study_file(Path(data))
        return spec.data if root is None else spec.data.model_copy(update={"root": str(root)})
    try:
        return DataSpec.model_validate({"name": data, "root": None if root is None else str(root)})
    except ValidationError as error:
        raise DataError(validation_messages(error, DataSpec, f"--data {data}")[0]) from None


def _print(file: Path, report: "FileReport") -> None:
    out = stdout_console()
    card = report.card
    recorded = "" if card.accuracy is None else f" (recorded: {card.accuracy:.2%} on validation)"
    judged = report.judge.replace("_", " ")
    own_bytes = report.onnx_bytes or report.coded_bytes
    smaller = report.dense_bytes / (own_bytes or report.packed_bytes)
    size = f"{report.packed_bytes:,} bytes"
    if own_bytes is not None:
        size = f"{own_bytes:,} bytes (packed: {size})"
    out.print(
        f"[bold]{escape(str(file))}[/]: {escape(card.model.name)}, {size}, "
        f"{smaller:.1f}x smaller than the dense network's {report.dense_bytes:,}\n"
        f"{judged} {report.accuracy:.2%}, loss {report.loss:.4f} on {report.samples} "
        f"{report.part} samples{recorded}",
        highlight=False,
    )
    if report.c is not None:
        made = report.c
        out.print(
            f"as C: {made.flash_bytes:,} bytes of flash ({made.code_bytes:,} of code), RAM "
            f"{made.scratch_bytes:,} of scratch and {made.activation_bytes:,} of activations, "
            f"{made.image_ms:.3f} ms per image",
            highlight=False,
        )
    kinds = ["onnx"] if report.onnx_bytes is not None else []
    table = plain_table(
        ("batch", *(f"{kind} ms" for kind in (*kinds, "packed", "dense")), "times faster")
    )
    for latency in report.latency:
        times = [latency.packed_ms, latency.dense_ms]
        if latency.onnx_ms is not None:
            times.insert(0, latency.onnx_ms)
        faster = f"{latency.dense_ms / times[0]:.2f}"
        table.add_row(str(latency.batch), *(f"{time:.3f}" for time in times), faster)
    out.print(table)

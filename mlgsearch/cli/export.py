"""`export`: a trial's student as a file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mlgsearch.cli.options import DEFAULT_STORAGE, AllowCode, Name, Storage
from mlgsearch.cli.printing.output import open_store
from mlgsearch.errors import UserError
from mlgsearch.paths import runs_directory


class FileFormat(StrEnum):
    """What an exported file is."""

    packed = "packed"
    dense = "dense"
    onnx = "onnx"


class OnnxForm(StrEnum):
    """How an ONNX file holds the weights."""

    compressed = "compressed"
    dense = "dense"


def export(
    name: Name,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="Number of the trial.", min=0)],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write.")],
    storage: Storage = DEFAULT_STORAGE,
    format_: Annotated[
        FileFormat, typer.Option("--format", help="What to write.")
    ] = FileFormat.packed,
    form: Annotated[
        OnnxForm | None,
        typer.Option(
            help="How an ONNX file holds weights; without it compressed.", show_default=False
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT where it exists.")] = False,
    allow_code: AllowCode = None,
) -> None:
    """Write a finished trial's student to a file: packed, as a plain network, or as ONNX."""
    if form is not None and format_ is not FileFormat.onnx:
        raise UserError(f"--form {form.value} is for --format onnx, not {format_.value}")
    _, store = open_store(storage)

    from mlgsearch.study.artifacts.export import export_trial  # loads torch
    from mlgsearch.train.own_code import add_code_folder

    if allow_code:
        add_code_folder(Path.cwd())

    written = export_trial(
        store,
        runs_directory(storage),
        name,
        trial,
        out,
        kind="dense_onnx" if form is OnnxForm.dense else format_.value,
        may_replace=force,
        allowed_code=allow_code or (),
    )
    what = format_.value if form is None else f"{form.value} {format_.value}"
    typer.echo(f"{out}: {what}, {written:,} bytes")

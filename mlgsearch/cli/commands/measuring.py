"""`measure`: how long layers take on a target, as a table."""

from pathlib import Path
from typing import Annotated

import typer

from mlgsearch.cli.commands.plan import preparing
from mlgsearch.cli.printing.output import write_text
from mlgsearch.errors import UserError
from mlgsearch.paths import cache_directory


def measure(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Study file (YAML).")],
    on: Annotated[
        str,
        typer.Option(
            metavar="TARGET",
            help="torch or onnxruntime on this machine, or a command that gets an ONNX file's "
            "path and prints milliseconds.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Write the table to this CSV file.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Time a study's layers on its target, and write the table that predicts latency."""
    if out.exists() and not force:
        raise UserError(f"{out}: exists; write another name, or --force to replace it")
    if out.is_dir():
        raise UserError(f"{out}: is a folder; write a file's name")
    if not out.absolute().parent.is_dir():
        raise UserError(f"{out}: its folder does not exist")
    from mlgsearch.study.file.study_file import load_study_file  # loads pydantic

    spec, _ = load_study_file(file, reads_latency=False)

    from mlgsearch.study.file.latency import write_latency  # loads torch
    from mlgsearch.study.target.study import measure_study

    with preparing(quietly=False) as progress:
        rows = measure_study(spec, on, cache_directory(), progress)
    write_text(out, "".join(write_latency(rows)))
    forms = sum(row.form not in ("rest", "dense") for row in rows)
    typer.echo(f"{out}: dense network {rows[0].latency_ms:.4g} ms, {forms} factored forms timed")

"""`export`: a trial's student as a file."""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from mlgsearch.cli.databases import open_store
from mlgsearch.cli.options import AllowCode, Name, Storage
from mlgsearch.cli.printing.output import write_text
from mlgsearch.errors import UserError
from mlgsearch.paths import runs_directory
from mlgsearch.records import ExportFormat
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE
from mlgsearch.results.formats import COLUMNS, front_rows, to_csv
from mlgsearch.results.model_card import CardFile, read_model_card
from mlgsearch.results.read.study_results import front_trials, read_results


class FileFormat(StrEnum):
    """What an exported file is."""

    packed = "packed"
    dense = "dense"
    onnx = "onnx"
    c = "c"


#: What the files of a whole front end in; a C program is a folder.
_SUFFIXES: Mapping[ExportFormat, str] = {
    "packed": ".safetensors",
    "coded": ".mlg",
    "dense": ".safetensors",
    "onnx": ".onnx",
    "dense_onnx": ".onnx",
    "c": "",
}


class OnnxForm(StrEnum):
    """How an ONNX file holds the weights."""

    compressed = "compressed"
    dense = "dense"


def export(
    name: Name,
    trial: Annotated[
        int | None, typer.Argument(metavar="[TRIAL]", help="Number of the trial.", min=0)
    ] = None,
    out: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="File to write; for c a folder.")
    ] = None,
    whole_front: Annotated[
        Path | None,
        typer.Option(
            "--front", metavar="DIR", help="Write the whole front into this folder, with an index."
        ),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    format_: Annotated[
        FileFormat, typer.Option("--format", help="What to write.")
    ] = FileFormat.packed,
    form: Annotated[
        OnnxForm | None,
        typer.Option(help="ONNX weight format (default: compressed).", show_default=False),
    ] = None,
    coded: Annotated[
        bool, typer.Option("--coded", help="Entropy-code a packed file: the same in fewer bytes.")
    ] = False,
    norm_bits: Annotated[
        int | None,
        typer.Option(
            metavar="8",
            help="Round batch-norm to 8 bits in a packed file (default: as trained).",
            show_default=False,
        ),
    ] = None,
    card: Annotated[
        bool, typer.Option("--card", help="Write a model card beside it: OUT with the suffix .md.")
    ] = False,
    data_license: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The data's licence, for the card.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it exists.")] = False,
    allow_code: AllowCode = None,
) -> None:
    """Write a finished trial's student: packed, as a plain network, as ONNX, or as C."""
    if whole_front is not None and trial is not None:
        raise UserError("--front writes every student of the front: leave out TRIAL and OUT")
    if whole_front is None and (trial is None or out is None):
        raise UserError("name a TRIAL and the file OUT to write it to, or --front DIR for all")
    if data_license is not None and not card:
        raise UserError("--data-license is for a model card: add --card")
    kind = _kind(format_, form, coded=coded, norm_bits=norm_bits)
    engine, store = open_store(storage)

    from mlgsearch.study.artifacts.export import export_trial  # loads torch
    from mlgsearch.train.own_code import add_code_folder

    if allow_code:
        add_code_folder(Path.cwd())

    def write(number: int, path: Path) -> int:
        beside = _card_path(path, kind) if card else None
        if beside is not None and beside.exists() and not force:
            raise UserError(f"{beside}: exists: write --force to replace it")
        written = export_trial(
            store,
            runs_directory(storage),
            name,
            number,
            path,
            kind=kind,
            may_replace=force,
            allowed_code=allow_code or (),
            norm_bits=norm_bits,
        )
        if beside is not None:
            file = CardFile(path.name, kind, written, rounds_norm=norm_bits is not None)
            write_text(beside, read_model_card(engine, name, number, file, data_license))
            typer.echo(f"{beside}: model card")
        return written

    if whole_front is not None:
        _export_front(engine, name, whole_front, _SUFFIXES[kind], write)
        return
    assert trial is not None
    assert out is not None
    written = write(trial, out)
    what = format_.value if form is None else f"{form.value} {format_.value}"
    typer.echo(f"{out}: {'coded packed' if coded else what}, {written:,} bytes")


def _kind(
    format_: FileFormat, form: OnnxForm | None, *, coded: bool, norm_bits: int | None
) -> ExportFormat:
    """Return what is written.

    Raises:
        UserError: an option is for another format.
    """
    if form is not None and format_ is not FileFormat.onnx:
        raise UserError(f"--form {form.value} is for --format onnx, not {format_.value}")
    if coded and format_ is not FileFormat.packed:
        raise UserError(f"--coded is for --format packed, not {format_.value}")
    if norm_bits not in (None, 8):
        raise UserError(f"--norm-bits {norm_bits}: write 8, or leave it out to keep the student's")
    if norm_bits is not None and format_ is not FileFormat.packed:
        raise UserError(f"--norm-bits is for --format packed, not {format_.value}")
    if coded:
        return "coded"
    return "dense_onnx" if form is OnnxForm.dense else format_.value


def _card_path(out: Path, kind: ExportFormat) -> Path:
    """Return where the model card of a file, or of a C program's folder, is written.

    Raises:
        UserError: that is where the file itself is to be.
    """
    if kind == "c":
        return out / "README.md"
    if out.suffix == ".md":
        raise UserError(f"{out}: a model card would have that name: let OUT end otherwise")
    return out.with_suffix(".md")


def _export_front(
    engine: Engine,
    name: str,
    folder: Path,
    suffix: str,
    write: Callable[[int, Path], int],
) -> None:
    """Write every student of a front, smallest first, its table, and which file is which."""
    results = read_results(engine, name)
    study, last = results.record, results.columns.number.max(initial=0)
    rows = front_rows(front_trials(engine, results), results.expectations)
    if not rows:
        raise UserError(f"study {name!r} has no COMPLETE trial yet, so there is no front to write")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror}") from error
    index = []
    for row in rows:
        path = folder / f"trial-{row['trial']:0{len(str(last))}d}{suffix}"
        written = write(row["trial"], path)
        typer.echo(f"{path}: {written:,} bytes")
        index.append({"file": path.name, "file_bytes": written, **row})
    write_text(folder / "front.csv", to_csv(index, ("file", "file_bytes", *COLUMNS)))
    write_text(
        folder / "index.json",
        json.dumps(
            {
                "study": name,
                "objectives": list(study.objectives),
                "teacher_accuracy": study.teacher_accuracy,
                "students": index,
            },
            indent=1,
        )
        + "\n",
    )
    typer.echo(f"{folder / 'front.csv'}, {folder / 'index.json'}: {len(index)} students")

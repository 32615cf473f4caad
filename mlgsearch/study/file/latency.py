"""What a study file says of the target's latency: a table, layer by layer."""

import csv
import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlgsearch.errors import StudyFileError
from mlgsearch.train.spec import PathText, Spec

#: The columns of a table; those of ``OPTIONAL`` may be missing.
COLUMNS = ("layer", "form", "B_in", "B_out", "latency_ms", "runtime")
OPTIONAL = ("runtime",)

#: The form of the row that holds what is no layer's.
REST = "rest"

#: How a layer may be computed; a runtime has some of them.
FORMS = ("dense", "level2", "three_stage", "depthwise")

#: Who chooses a layer's form by a rule of its own; without a word it is the cheapest one.
RUNTIMES = ("", "torch", "onnx")

#: A larger table is refused.
_MOST_BYTES = 16 * 2**20


class LatencySpec(Spec):
    """A table's file and its text, which belongs to the study's content; see `parse_latency`."""

    file: PathText
    sha256: str = ""
    table: str = ""


@dataclass(frozen=True)
class LatencyRow:
    """Milliseconds of one layer with so many bases in one form; 0 bases: it has no such level."""

    layer: str
    form: str
    base_in: int
    base_out: int
    latency_ms: float
    runtime: str = ""


def read_latency(path: Path) -> LatencySpec:
    """Read a table, which must be valid.

    Raises:
        StudyFileError: it cannot be read, or a line of it says something wrong.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise StudyFileError(f"latency: {path}: no such file; `measure` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(f"latency: {path}: cannot be read: {error}") from None
    if len(text) > _MOST_BYTES:
        raise StudyFileError(f"latency: {path}: has more than {_MOST_BYTES // 2**20} MiB")
    found = LatencySpec(
        file=str(path), sha256=hashlib.sha256(text.encode()).hexdigest(), table=text
    )
    parse_latency(found)
    return found


def parse_latency(spec: LatencySpec) -> list[LatencyRow]:
    """Return a table's rows.

    Raises:
        StudyFileError: a line of it says something wrong, or nothing is `dense` of a layer.
    """
    where = f"latency: {spec.file}"
    reader = csv.DictReader(io.StringIO(spec.table))
    names = reader.fieldnames or ()
    missing = [name for name in COLUMNS if name not in (*names, *OPTIONAL)]
    if missing:
        raise StudyFileError(
            f"{where}: has no column {missing[0]}; it needs {', '.join(COLUMNS[:-1])}"
        )
    try:
        rows = [_row(record, f"{where}: line {reader.line_num}") for record in reader]
    except csv.Error as error:
        raise StudyFileError(f"{where}: line {reader.line_num}: {error}") from None
    seen: set[tuple[str | int, ...]] = set()
    for row in rows:
        key = (row.layer, row.form, row.base_in, row.base_out)
        if key in seen:
            raise StudyFileError(f"{where}: has two rows of {', '.join(map(str, key))}")
        seen.add(key)
    dense = {row.layer for row in rows if row.form == "dense"}
    for row in rows:
        if row.form != REST and row.layer not in dense:
            raise StudyFileError(f"{where}: layer {row.layer!r} has no row of the form dense")
    if not rows:
        raise StudyFileError(f"{where}: has no rows")
    if len({row.runtime for row in rows}) > 1:
        raise StudyFileError(f"{where}: names more than one runtime")
    return rows


def write_latency(rows: Sequence[LatencyRow]) -> Iterator[str]:
    """Yield the lines of a table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(
            [row.layer, row.form, row.base_in, row.base_out, f"{row.latency_ms:.6g}", row.runtime]
        )
    yield from out.getvalue().splitlines(keepends=True)


def _row(record: dict[str, str | None], where: str) -> LatencyRow:
    values = {name: (record.get(name) or "").strip() for name in COLUMNS}
    form = values["form"]
    if form not in (REST, *FORMS):
        raise StudyFileError(
            f"{where}: form is {form!r}, expected one of {', '.join((REST, *FORMS))}"
        )
    if form == REST and values["layer"]:
        raise StudyFileError(f"{where}: the form {REST} is of no layer: leave layer empty")
    if form != REST and not values["layer"]:
        raise StudyFileError(f"{where}: layer is empty")
    if values["runtime"] not in RUNTIMES:
        raise StudyFileError(
            f"{where}: runtime is {values['runtime']!r}, expected torch, onnx or nothing"
        )
    bases = []
    for name in ("B_in", "B_out"):
        if not (values[name] or "0").isdecimal():
            raise StudyFileError(f"{where}: {name} is {values[name]!r}, expected a whole number")
        bases.append(int(values[name] or "0"))
    try:
        latency_ms = float(values["latency_ms"])
    except ValueError:
        latency_ms = math.nan
    if not math.isfinite(latency_ms):
        raise StudyFileError(
            f"{where}: latency_ms is {values['latency_ms']!r}, expected a finite number"
        )
    return LatencyRow(values["layer"], form, bases[0], bases[1], latency_ms, values["runtime"])

"""What a chart says of a trial of the front."""

from dataclasses import dataclass

from mlgsearch.results.analysis.choice import KILOBYTE
from mlgsearch.results.analysis.trial_columns import Rows, TrialColumns
from mlgsearch.words import TIMES


@dataclass(frozen=True)
class Student:
    """A trial in few words; ``accuracy`` is a fraction, ``packed_bytes`` None where not known."""

    number: int
    accuracy: float
    memory_ratio: float
    packed_bytes: int | None

    @property
    def size(self) -> str:
        """Its size in few letters."""
        if self.packed_bytes is None:
            return f"{TIMES}{1 / self.memory_ratio:.0f}"
        return written_bytes(self.packed_bytes)

    @property
    def label(self) -> str:
        """How a menu calls it."""
        return f"trial {self.number}: {self.size}, {100 * self.accuracy:.2f} %"


def written_bytes(count: float) -> str:
    """Write a size in three digits, in bytes, KB (1,000 bytes) or MB."""
    for unit, scale in (("MB", KILOBYTE**2), ("KB", KILOBYTE)):
        if count >= 0.9995 * scale:
            value = count / scale
            return f"{value:,.0f} {unit}" if value >= 99.95 else f"{value:#.3g} {unit}"
    return f"{count:.0f} B"


def students(columns: TrialColumns, rows: Rows) -> list[Student]:
    """Return some trials with accuracy, in the order of ``rows``."""
    chosen = columns.at(rows)
    return [
        Student(number, accuracy, ratio, int(size) if size > 0 else None)  # NaN is not above 0
        for number, accuracy, ratio, size in zip(
            chosen.number.tolist(),
            chosen.accuracy.tolist(),
            chosen.memory_ratio.tolist(),
            chosen.packed_bytes.tolist(),
            strict=True,
        )
    ]

"""Columns of tables by what their values are."""

from dashboard.parts.table import Column, Row
from dashboard.parts.values.student import written_bytes
from mlgsearch.results.read.layer_grid import NUMBERS


def hyperparameter(value: object) -> str:
    """Write a hyperparameter's value, a number in four digits; one that is absent as nothing."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def number(key: str, label: str, form: str = "{}", *, scale: float = 1, hint: str = "") -> Column:
    """Write numbers by a format, times ``scale``."""

    def show(row: Row) -> str:
        return "" if row[key] is None else form.format(scale * row[key])

    return Column(key, label, show, is_number=True, hint=hint)


def percent(key: str, label: str, *, digits: int = 2, hint: str = "") -> Column:
    """Write fractions in percent."""
    return number(key, label, f"{{:.{digits}f}} %", scale=100, hint=hint)


def size(key: str, label: str) -> Column:
    """Write bytes in three digits."""

    def show(row: Row) -> str:
        return "" if row[key] is None else written_bytes(row[key])

    return Column(key, label, show, is_number=True)


def level(name: str) -> Column:
    """Write one of a layer's five numbers; a dash is a level that is absent."""

    def show(row: Row) -> str:
        return str(row[name]) if row[name] else "\N{EN DASH}"

    return Column(name, name, show, is_number=True, hint=f"Sort by {name}; absent is 0")


#: What a student gives a layer.
SETTING = (
    *map(level, NUMBERS),
    size("layer_bytes", "bytes"),
    number("bits_a_weight", "bits per weight", "{:.3g}"),
)

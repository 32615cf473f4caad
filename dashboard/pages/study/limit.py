"""The limit that a student is chosen by on a study's page, as the address has it."""

from collections.abc import Mapping, Sequence

from dashboard.charts.axes.size_axis import SIZE_AXES
from dashboard.query import Query
from mlgsearch.results.analysis.choice import Limit, LimitKind

#: Parameters of the page's address: what is bounded, and by how much.
KIND, MOST = "limit", "bound"

#: What can be bounded: how a menu calls it, with the option of `choose` by that name.
KINDS: Mapping[LimitKind, str] = {
    "max_kb": "packed file, at most KB",
    "max_ratio": "memory ratio, at most",
    "max_ms": "predicted latency, at most ms",
    "at_least": "expected accuracy, at least %",
    "within": "points below the teacher, at most",
}
#: The store with `axes_of_limits`.
LIMIT_AXES = "study-limit-axes"
DEFAULT_KIND: LimitKind = "max_kb"


def axes_of_limits() -> dict[str, Sequence[str]]:
    """Return by kind of limit the axes of size that it is a line on, the one to turn to first."""
    return {
        kind: [name for name, axis in SIZE_AXES.items() if axis.objective == limit.size]
        for kind, limit in ((kind, Limit(kind, 0.0)) for kind in KINDS)
        if limit.is_on_size
    }


def limit_of(query: Query) -> Limit | None:
    """Return the limit that an address asks for; None without a bound."""
    value = query.number(MOST, -1.0)
    kind = next((kind for kind in KINDS if kind == query.one(KIND)), DEFAULT_KIND)
    return Limit(kind, value) if value >= 0 else None

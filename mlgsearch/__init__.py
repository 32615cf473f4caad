"""Search per-layer multi-level generation (MLG) settings for small networks.

The public names are those of ``__all__``; docs/python.md describes them. Each is loaded when it is
asked for, so that ``import mlgsearch`` alone, and all that only reads results, loads no torch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlgsearch.api.callback import Callback as Callback
    from mlgsearch.api.compressing import compress as compress
    from mlgsearch.api.metric import Metric as Metric
    from mlgsearch.api.plan import Plan as Plan
    from mlgsearch.api.planner import Planner as Planner
    from mlgsearch.api.planner import plan as plan
    from mlgsearch.api.searching import SearchResult as SearchResult
    from mlgsearch.api.searching import search as search
    from mlgsearch.api.student import Student as Student
    from mlgsearch.api.study import Study as Study
    from mlgsearch.errors import MlgsearchError as MlgsearchError
    from mlgsearch.errors import UserError as UserError
    from mlgsearch.mlg.setting import LayerSetting as LayerSetting
    from mlgsearch.train.files.packed_file import load_packed as load_packed

__version__ = "0.1.0"

#: Public names, and where they are found.
_FACE = {
    "plan": "mlgsearch.api.planner",
    "Planner": "mlgsearch.api.planner",
    "Plan": "mlgsearch.api.plan",
    "compress": "mlgsearch.api.compressing",
    "Student": "mlgsearch.api.student",
    "load_packed": "mlgsearch.train.files.packed_file",
    "search": "mlgsearch.api.searching",
    "SearchResult": "mlgsearch.api.searching",
    "Metric": "mlgsearch.api.metric",
    "Callback": "mlgsearch.api.callback",
    "Study": "mlgsearch.api.study",
    "LayerSetting": "mlgsearch.mlg.setting",
    "UserError": "mlgsearch.errors",
    "MlgsearchError": "mlgsearch.errors",
}

__all__ = [*_FACE]


def __getattr__(name: str) -> object:
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_FACE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_FACE])

"""Search per-layer multi-level generation (MLG) settings for small networks.

The public face: ``load_packed`` gives the network of an exported file. It is loaded when it is
asked for, so that ``import mlgsearch`` alone, and all that only reads results, loads no torch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlgsearch.train.files.packed_file import load_packed as load_packed

__version__ = "0.1.0"

#: Public names, and where they are found.
_FACE = {"load_packed": "mlgsearch.train.files.packed_file"}


def __getattr__(name: str) -> object:
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_FACE[name]), name)

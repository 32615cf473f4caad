"""Objects that tables of ours name, so that they are imported where they are used only."""

import importlib
from typing import Any


def named(target: str) -> Any:
    """Import what ``module:attribute`` names; never a name from outside (see docs/security.md)."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)

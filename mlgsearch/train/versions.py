"""The versions of what a result depends on."""

import platform
from functools import cache
from importlib.metadata import version

_LIBRARIES = (
    "mlgsearch",
    "numpy",
    "optuna",
    "pillow",
    "ray",
    "safetensors",
    "scikit-learn",
    "torch",
    "torchvision",
)


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    return ("python", platform.python_version()), *((name, version(name)) for name in _LIBRARIES)


def versions_text() -> str:
    """Return the versions that decide what a network computes, in a line."""
    versions = library_versions()
    return " ".join(f"{name} {versions[name]}" for name in ("mlgsearch", "torch", "torchvision"))


def library_versions() -> dict[str, str]:
    """Return the version of Python and of each library, by its distribution's name.

    Read from the installed metadata: no library is imported for it.
    """
    return dict(_versions())

"""torch and torchvision without torch's compiler, whose import takes 2 s of processor time.

Nothing here compiles, but two ways lead to `torch._dynamo` (which brings sympy and triton along):

- `torchvision.ops.roi_align` (0.24 to 0.29) imports ``is_compile_supported`` from it, and not where
  it calls it: so import torchvision's `datasets`, `models` and `v2` from here;
- torch computes shapes on ``meta`` in Python, and keeps its optimisers' lists, in functions that
  `torch._dynamo.disable` wraps at their first call: so build and train networks
  `without_compiler`.

Both are answered by stand-ins meanwhile, which step back for whoever wants more of the compiler.
May go when neither imports it any more (tests fail then).
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo"
_UTILITIES = "torch._dynamo.utils"


@contextmanager
def without_compiler() -> Iterator[None]:
    """Compute on ``meta`` (shapes and types, no values), or train, without torch's compiler."""
    if _COMPILER in sys.modules:
        yield
        return
    wrapped: list[Callable[..., Any]] = []

    def disable(function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        wrapped.append(function)
        return function

    stand_ins = {
        _COMPILER: _stand_in(_COMPILER, disable=disable),
        _UTILITIES: _stand_in(_UTILITIES, is_compile_supported=_is_compile_supported),
    }
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        for function in wrapped:  # torch keeps what `disable` returned, where it is still ours
            if getattr(function, "__dynamo_disable", None) is function:
                del function.__dynamo_disable


def _is_compile_supported(device_type: str) -> bool:
    return bool(importlib.import_module(_UTILITIES).is_compile_supported(device_type))


def _stand_in(name: str, **attributes: object) -> ModuleType:
    """Return a module of a few attributes, in whose place the real one is loaded for any other."""
    module = ModuleType(name)

    def load(attribute: str) -> object:
        wants_submodule = (name, attribute) == (_COMPILER, "__path__")
        if attribute.startswith("__") and not wants_submodule:  # as `inspect` asks of all modules
            raise AttributeError(attribute)
        for kept in (_COMPILER, _UTILITIES):
            sys.modules.pop(kept, None)
        return getattr(importlib.import_module(name), attribute)

    module.__dict__.update(attributes, __getattr__=load)
    return module


with without_compiler():
    from torchvision import datasets as datasets
    from torchvision import models as models
    from torchvision.transforms import v2 as v2

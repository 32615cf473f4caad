"""What `import mlgsearch` offers, and what it costs."""

from importlib import import_module
from pkgutil import iter_modules

import pytest

import mlgsearch
from tests.fresh_process import loaded_by

#: Public names that need no torch: reading a study, and what is plain data.
LIGHT = ("Study", "Callback", "Metric", "LayerSetting", "UserError", "MlgsearchError")
HEAVY = {"torch", "torchvision", "ray", "optuna", "pandas"}


def test_the_package_alone_loads_nothing_heavy() -> None:
    assert not loaded_by("import mlgsearch; dir(mlgsearch)") & {*HEAVY, "numpy", "sqlalchemy"}


def test_names_that_need_no_torch_load_none() -> None:
    loaded = loaded_by(f"from mlgsearch import {', '.join(LIGHT)}")
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", mlgsearch.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    thing = getattr(mlgsearch, name)
    assert thing.__name__ == name
    assert thing.__doc__
    assert name in dir(mlgsearch)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Studie'"):
        _ = mlgsearch.Studie


def test_no_module_hides_a_public_name() -> None:
    """An import of ``mlgsearch.x`` makes ``x`` an attribute of the package, for everyone."""
    modules = {module.name for module in iter_modules(mlgsearch.__path__)}
    assert not modules & set(mlgsearch.__all__)
    import_module("mlgsearch.api.planner")
    assert callable(mlgsearch.plan)

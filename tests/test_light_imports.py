"""What shows results must not pay for training: no torch, ray or optuna."""

import pytest

from tests.fresh_process import printed

SCRIPT = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    if not module.name.endswith("migrations.env"):  # Alembic alone can run it
        importlib.import_module(module.name)
        print(module.name)
print("loaded:", sorted({"torch", "torchvision", "ray", "optuna"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("package", "some"),
    [
        ("mlgsearch.results", {"database.store", "database.lease"}),
        ("dashboard", {"app", "pages.studies.page"}),
    ],
)
def test_importing_all_of_it_loads_no_torch_ray_or_optuna(package: str, some: set[str]) -> None:
    *imported, last = printed(SCRIPT, package).splitlines()
    assert {f"{package}.{name}" for name in some} <= set(imported)
    assert last == "loaded: []"

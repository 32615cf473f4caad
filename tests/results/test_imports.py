"""A page that shows results must not pay for training: no torch, ray or optuna."""

import subprocess
import sys

SCRIPT = """
import importlib, pkgutil, sys
import mlgsearch.results
for module in pkgutil.walk_packages(mlgsearch.results.__path__, "mlgsearch.results."):
    if not module.name.endswith("migrations.env"):  # Alembic alone can run it
        importlib.import_module(module.name)
        print(module.name)
print("loaded:", sorted({"torch", "ray", "optuna"} & set(sys.modules)))
"""


def test_importing_all_of_results_loads_no_torch_ray_or_optuna() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert {"mlgsearch.results.database.store", "mlgsearch.results.database.lease"} <= set(lines)
    assert lines[-1] == "loaded: []"

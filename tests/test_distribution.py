"""What is installed, from a wheel; `scripts/installed` installs it into a new environment."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, as a site-packages has them, in a folder of their own."""
    source = tmp_path_factory.mktemp("source")
    for name in ("mlgsearch", "dashboard"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*build, "--wheel-dir", str(folder), str(source)], capture_output=True, text=True
    )
    if "No module named" in done.stderr and "setuptools" in done.stderr:
        pytest.skip("setuptools is not in this environment")
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_it_takes_no_common_name(site: Path) -> None:
    folders = {path.name for path in site.iterdir() if path.is_dir()}
    assert folders == {"mlgsearch", "mlgsearch_dashboard", "mlgsearch-0.1.0.dist-info"}
    for name in ("assets/style.css", "server/openapi.json"):
        assert (site / "mlgsearch_dashboard" / name).is_file()


@pytest.mark.parametrize("module", ["mlgsearch", "mlgsearch_dashboard"])
def test_its_programs_run_beside_anothers_dashboard(
    site: Path, tmp_path: Path, module: str
) -> None:
    other = tmp_path / "other" / "dashboard"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise SystemExit('another package')")
    done = subprocess.run(
        [sys.executable, "-P", "-m", module, "--help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path / 'other'}:{site}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Usage" in done.stdout

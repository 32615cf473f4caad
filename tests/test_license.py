"""The license is one file, and the package's metadata name it."""

import tomllib
from pathlib import Path

from mlgsearch import __version__

ROOT = Path(__file__).parents[1]


def test_the_metadata_name_the_license_and_its_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert project["license"] == "MIT"
    (name,) = project["license-files"]
    text = (ROOT / name).read_text()
    assert text.startswith("MIT License\n")
    assert "mlgsearch contributors" in text

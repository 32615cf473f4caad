"""A working folder whose files are named as modules of the standard library."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlgsearch.records import TrialState
from mlgsearch.study.file.allowed_code import offer_code
from tests.results.leases import trials_of
from tests.study.driver import SHORT_STUDY, Study
from tests.study.samples import a_spec


def shadow(folder: Path, *names: str) -> None:
    """Write files that report when they are imported."""
    for name in names:
        (folder / f"{name}.py").write_text(f"raise RuntimeError('{name}.py was imported')\n")


def test_nothing_is_imported_that_no_study_names(tmp_path: Path) -> None:
    shadow(tmp_path, "profile", "queue", "types", "random", "torch", "mlgsearch")
    study = Study(tmp_path, tmp_path / "cache", SHORT_STUDY)
    events = study.run("launch", str(study.file), "--max-parallel", "1")
    assert events[-1]["states"]["COMPLETE"] == 2


#: A network of the user's own.
OWN_CODE = """
from torch import nn
def network(*, classes, **sides):
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, classes),
    )
"""


def test_beside_the_code_that_a_study_names_nothing_is_imported(tmp_path: Path) -> None:
    shadow(tmp_path, "profile", "queue", "types", "random", "torch", "mlgsearch")
    (tmp_path / "own_code.py").write_text(OWN_CODE)
    named = SHORT_STUDY.replace("{name: resnet8, width: 4}", '{name: "own_code:network"}')
    study = Study(tmp_path, tmp_path / "cache", named)
    events = study.run("launch", str(study.file), "--max-parallel", "1")
    assert events[-1]["states"]["COMPLETE"] == 2


def test_python_m_imports_nothing_from_there_either(tmp_path: Path) -> None:
    shadow(tmp_path, "profile", "queue", "random", "json", "torch", "typer")
    done = subprocess.run(
        [sys.executable, "-m", "mlgsearch", "list", "--storage", "sqlite:///none.db"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: sqlite:///none.db: there is no file")


def test_the_folder_comes_last_and_only_where_code_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    monkeypatch.setattr(sys, "path", list(before))
    assert offer_code(a_spec()) is None
    assert sys.path == before
    named = a_spec(model={"name": "own:network"})
    for _ in range(2):
        assert offer_code(named) == str(tmp_path)
        assert sys.path == [*before, str(tmp_path)]


#: Python runs it as it starts; where Ray's raylet is the parent, torch cannot be imported then.
BROKEN_WORKERS = """
import os, pathlib, sys
if pathlib.Path(f"/proc/{os.getppid()}/comm").read_text().strip() == "raylet":
    sys.modules["torch"] = None
"""


def test_a_worker_that_cannot_begin_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BROKEN_WORKERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    study = Study(
        tmp_path,
        tmp_path / "cache",
        SHORT_STUDY.replace("resources: {", "resources: {worker_retries: 0, "),
    )
    driver = study.start("launch", str(study.file), "--max-parallel", "1")
    driver.read_to_end()
    assert driver.wait() == 2
    trials = trials_of(study.url, "tiny")
    assert [trial.state for trial in trials] == [TrialState.FAIL] * 2
    for said in (trials[0].error, trials[1].error, driver.errors()):
        assert "its worker died" in str(said)
        assert "import of torch halted" in str(said)

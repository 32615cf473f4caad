"""The notebook runs as it is, and shows what it says."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

import mlgsearch

ROOT = Path(__file__).parents[2]
TOUR = ROOT / "docs" / "tour.ipynb"


def notebook() -> NotebookNode:
    return nbformat.read(TOUR, as_version=4)


def text_of(notebook: NotebookNode) -> str:
    """Return all that a notebook's cells printed or showed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs
    )


@pytest.mark.timeout(900)  # a whole search, Ray included
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLGSEARCH_CACHE", str(tmp_path / "cache"))
    tour = notebook()
    for cell in tour.cells:
        cell.pop("outputs", None)
    NotebookClient(
        tour,
        timeout=800,
        startup_timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    said = text_of(tour)
    assert said.count("bytes, ") == 8, said  # a line per trial
    assert "layer1.0.conv1" in said
    front = mlgsearch.Study.load(f"sqlite:///{tmp_path}/tour.db", "tour").front()
    assert front["accuracy"].max() > 0.9
    for name in ("student.safetensors", "student.onnx"):
        assert f"{(tmp_path / name).stat().st_size:,} bytes" in said
    assert (tmp_path / "student.safetensors").stat().st_size <= 5000


def test_what_it_shows_is_of_a_run() -> None:
    """The outputs that are kept in the file: every code cell ran, none failed."""
    cells = [cell for cell in notebook().cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert "error" not in kinds
    assert "logits are at most" in text_of(notebook())


def test_it_is_linked() -> None:
    assert "(tour.ipynb)" in (ROOT / "docs" / "python.md").read_text()
    assert "(docs/tour.ipynb)" in (ROOT / "README.md").read_text()

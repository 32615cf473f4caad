"""The page of the library: its reference follows from the code, and its first example runs."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import mlgsearch
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec
from tests.docs.python_page import HEADING, PAGE, reference

TEXT = PAGE.read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_reference_is_what_the_code_says() -> None:
    _, _, written = TEXT.partition(HEADING)
    assert HEADING + written == reference(), "write it: python -m tests.docs.python_page"


def test_every_public_name_has_its_section() -> None:
    assert re.findall(r"^### `(\w+)`$", TEXT, re.MULTILINE) == mlgsearch.__all__


def test_from_a_model_to_a_packed_file_as_the_page_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)

    def build() -> torch.nn.Module:
        return build_model(ModelSpec(width=8), classes=10, channels=1, image_size=(8, 8))

    torch.manual_seed(0)
    scope: dict[str, Any] = {"model": build(), "images": torch.randn(64, 1, 8, 8), "build": build}
    for block in BLOCKS[:2]:
        exec(compile(block, "docs/python.md", "exec"), scope)
    assert len(BLOCKS[0].strip().splitlines()) - 2 <= 5
    assert Path("student.safetensors").stat().st_size <= 3000
    assert scope["logits"].shape == (64, 10)
    assert "layer1.0.conv1" in capsys.readouterr().out


def test_the_other_blocks_are_python() -> None:
    for block in BLOCKS[2:]:
        compile(block, "docs/python.md", "exec")

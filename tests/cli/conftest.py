"""Fixtures of the commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mlgsearch.cli.app import app
from tests.cli.filled import Filled, Run


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Filled]:
    filled = Filled(tmp_path)
    yield filled
    filled.engine.dispose()


@pytest.fixture
def run(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(filled.folder)

    def run(*arguments: str, answer: str | None = None) -> Result:
        options = ["--storage", filled.url] if "--storage" not in arguments else []
        return CliRunner().invoke(app, [*arguments, *options], input=answer)

    return run

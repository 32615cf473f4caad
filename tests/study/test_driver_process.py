"""A driver of the tests, forked where Ray is loaded, has the settings of its own environment."""

from pathlib import Path

import pytest

from tests.study.driver import SHORT_STUDY, Study


def test_ray_asks_for_a_token_as_the_environment_says(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # as a test that ran Ray leaves it
    events = Study(tmp_path, cache, SHORT_STUDY).run("launch", "tiny.yaml")
    assert events[-1]["states"]["COMPLETE"] == 2

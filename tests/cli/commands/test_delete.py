"""`delete`: what it takes, and what it asks before."""

import os
from pathlib import Path

import optuna
import pytest

from mlgsearch.errors import StudyConflictError
from mlgsearch.paths import runs_directory, study_directory
from mlgsearch.study.artifacts.store import artifacts_of
from tests.cli.filled import NAME, Filled, Run, lines
from tests.results.samples import begin_run


def checkpoints(filled: Filled) -> Path:
    folder = study_directory(runs_directory(filled.url), filled.study)
    (folder / "000000").mkdir(parents=True)
    (folder / "000000" / "student.safetensors").write_text("x")
    return folder


def test_delete_takes_what_lies_in_a_store_along(run: Run, filled: Filled, tmp_path: Path) -> None:
    content = {**filled.study.content, "resources": {"artifact_path": f"file://{tmp_path}/store"}}
    begin_run(filled.store, NAME, content=content)
    artifacts = artifacts_of(filled.study, tmp_path)
    work = artifacts.begin(0, 1)
    (work.path / "student.safetensors").write_text("x")
    work.publish()
    work.close()
    assert len(list((tmp_path / "store").iterdir())) == 1
    assert run("delete", NAME, "--yes").stdout == f"deleted {NAME}\n"
    assert list((tmp_path / "store").iterdir()) == []


def test_delete_asks_and_takes_no_for_an_answer(run: Run, filled: Filled) -> None:
    folder = checkpoints(filled)
    for answer in ("n\n", "\n", ""):
        result = run("delete", NAME, answer=answer)
        assert result.exit_code == 1
        assert f"Delete study {NAME!r} with its 7 trials and checkpoints?" in result.stdout
    assert filled.study.name == NAME
    assert folder.is_dir()


@pytest.mark.parametrize(("options", "answer"), [((), "y\n"), (("--yes",), None), (("-y",), None)])
def test_delete_takes_rows_checkpoints_and_optunas_rows(
    run: Run, filled: Filled, options: tuple[str, ...], answer: str | None
) -> None:
    folder = checkpoints(filled)
    for name in (NAME, "other"):
        optuna.create_study(
            storage=filled.url, study_name=name, directions=["maximize", "minimize"]
        ).enqueue_trial({"x": 1})
    result = run("delete", NAME, *options, answer=answer)
    assert lines(result)[-1].endswith(f"deleted {NAME}")
    assert [study.name for study in filled.store.studies()] == ["empty"]
    assert optuna.get_all_study_names(filled.url) == ["other"]
    assert not folder.exists()


def test_delete_is_refused_while_a_driver_holds_the_study(run: Run, filled: Filled) -> None:
    folder = checkpoints(filled)
    with filled.driven():
        result = run("delete", NAME, "--yes")
    assert isinstance(result.exception, StudyConflictError)
    assert f"is driven by ann (process {os.getpid()} on box)" in str(result.exception)
    assert len(filled.store.trials(NAME)) == 7
    assert folder.is_dir()

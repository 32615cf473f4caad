"""A study from Python: launched with callbacks, read as tables, exported."""

from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

import mlgsearch
from mlgsearch.errors import StudyFileError, StudyNotFoundError, TrialNotFoundError, UserError
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.formats import COLUMNS
from mlgsearch.results.trial_fields import TRIAL_FIELDS
from tests.api.test_public import HEAVY
from tests.fresh_process import loaded_by
from tests.results.samples import a_complete, a_study, a_trial, an_epoch
from tests.study.artifacts.test_export import Exporter, Trained, trained

__all__ = ["trained"]

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"limit": 120},
    "model": {"width": 4},
    "teacher": {"training": {"epochs": 1, "batch_size": 32}},
    "training": {"epochs": 2, "batch_size": 32},
    "space": {"kind": "uniform"},
    "search": {"n_trials": 2, "first": [[2, 6, 3, 6, 3], [2, 4, 2, 4, 2]]},
}


@pytest.fixture
def stored(tmp_path: Path, empty: bytes) -> str:
    """The URL of a database with a study of three trials."""
    (tmp_path / "a.db").write_bytes(empty)
    url = f"sqlite:///{tmp_path}/a.db"
    engine = open_engine(url)
    store = ResultStore(engine)
    store.create_study(a_study())
    store.put_trial("digits", a_complete(0, 0.9, 0.05, packed_bytes=2000))
    store.put_trial("digits", a_complete(1, 0.8, 0.04, packed_bytes=1500))
    store.put_trial("digits", a_complete(2, 0.7, 0.06, packed_bytes=2500))
    store.put_trial("digits", a_trial(3), [an_epoch(1), an_epoch(2)])
    engine.dispose()
    return url


@pytest.fixture(scope="module")
def empty() -> bytes:
    from tests.study.driverless import empty_database

    return empty_database()


def test_a_stored_study_is_tables(stored: str) -> None:
    study = mlgsearch.Study.load(stored, "digits")
    trials, front = study.trials(), study.front()
    assert list(trials.index) == [0, 1, 2, 3]
    assert list(trials.columns) == [f.name for f in TRIAL_FIELDS if f.name != "trial"]
    assert list(front.index) == [1, 0]
    assert list(front.columns) == [name for name in COLUMNS if name != "trial"]
    assert list(front["packed_bytes"]) == [1500, 2000]
    assert list(study.epochs(3).index) == [1, 2]
    assert study.epochs(0).empty
    assert "validation_accuracy" in study.epochs(0).columns


def test_choose_picks_as_the_command_does(stored: str) -> None:
    study = mlgsearch.Study.load(stored, "digits")
    assert study.choose(max_kb=1.6) == 1
    assert study.choose(max_ratio=0.05) in (0, 1)
    assert study.choose(at_least=50) == 1
    with pytest.raises(
        UserError, match="pass one of max_kb, max_ratio, max_ms, within, at_least, got 2"
    ):
        study.choose(max_kb=2, within=1)
    with pytest.raises(UserError, match="the smallest file, of trial 1"):
        study.choose(max_kb=1)


def test_reading_loads_no_torch(stored: str) -> None:
    loaded = loaded_by(
        f"import mlgsearch; study = mlgsearch.Study.load({stored!r}, 'digits')\n"
        "study.front(), study.trials(), study.epochs(3), study.choose(max_kb=2)"
    )
    assert "pandas" in loaded
    assert not loaded & (HEAVY - {"pandas"})


def test_what_is_not_there_is_named(stored: str, tmp_path: Path) -> None:
    with pytest.raises(StudyNotFoundError, match="digit"):
        mlgsearch.Study.load(stored, "digit")
    study = mlgsearch.Study.load(stored, "digits")
    with pytest.raises(TrialNotFoundError):
        study.epochs(9)
    with pytest.raises(UserError, match="trial 3 of 'digits' is RUNNING"):
        study.export(3, tmp_path / "a")
    with pytest.raises(UserError):
        mlgsearch.Study.load(f"sqlite:///{tmp_path}/none.db", "digits")


def test_a_mapping_is_read_as_a_study_file_is(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match=r"study: search\.n_trial.*n_trials"):
        mlgsearch.Study({"name": "x", "search": {"n_trial": 3}})
    (tmp_path / "x.yaml").write_text("name: from-file\n")
    assert mlgsearch.Study(tmp_path / "x.yaml").name == "from-file"
    assert mlgsearch.Study(TINY).name == "tiny"


@torch.no_grad()
def test_a_student_comes_from_its_checkpoint(tmp_path: Path, trained: Trained) -> None:
    exporter = Exporter(tmp_path, trained)
    exporter.engine.dispose()
    study = mlgsearch.Study.load(exporter.url, "digits")
    student = study.student(0)
    assert torch.equal(student.network(trained.images), trained.logits)
    assert student.packed_bytes == trained.record.packed_bytes
    assert study.export(0, exporter.out) == exporter.out.stat().st_size
    opened = mlgsearch.load_packed(exporter.out)
    assert torch.equal(opened(trained.images), trained.logits)
    assert (student.card.study, student.card.trial) == ("digits", 0)


@pytest.mark.parametrize(
    ("format", "said"),
    [
        ("packed", "packed file of mlgsearch"),
        ("coded", "packed file with its codes entropy-coded"),
        ("dense", "plain float32 network, its state_dict"),
        ("onnx", "ONNX with the same codes"),
        ("dense_onnx", "ONNX, plain float32 network"),
        ("c", "C99 program"),
    ],
)
def test_a_card_says_what_the_file_is_whatever_it_is_called(
    tmp_path: Path, trained: Trained, format: Any, said: str
) -> None:
    exporter = Exporter(tmp_path, trained)
    exporter.engine.dispose()
    study = mlgsearch.Study.load(exporter.url, "digits")
    size = study.export(0, tmp_path / "a.bin", format)
    assert f"| `a.bin` | {size:,} bytes | {said}" in study.card(0, tmp_path / "a.bin")


@pytest.mark.parametrize("format", ["packed", "coded"])
def test_a_card_says_that_batch_norm_was_rounded(
    tmp_path: Path, trained: Trained, format: Any
) -> None:
    exporter = Exporter(tmp_path, trained)
    exporter.engine.dispose()
    study = mlgsearch.Study.load(exporter.url, "digits")
    whole = study.export(0, tmp_path / "a", format)
    assert study.export(0, tmp_path / "b", format, norm_bits=8) < whole
    assert "rounded its batch-norm" in study.card(0, tmp_path / "b")
    assert "rounded its batch-norm" not in study.card(0, tmp_path / "a")


def test_a_card_of_another_file_is_refused(tmp_path: Path, stored: str) -> None:
    study = mlgsearch.Study.load(stored, "digits")
    with pytest.raises(UserError, match="none: no such file: export it first"):
        study.card(0, tmp_path / "none")
    (tmp_path / "text.onnx").write_text("hello")
    for path in (tmp_path, tmp_path / "text.onnx"):
        with pytest.raises(UserError, match="that `export` wrote"):
            study.card(0, path)


class Recorder(mlgsearch.Callback):
    def __init__(self) -> None:
        self.epochs: list[tuple[int, int]] = []
        self.states: list[tuple[int, str]] = []
        self.stages: set[str] = set()

    def on_epoch(self, trial: int, epoch: Any) -> None:
        self.epochs.append((trial, epoch["epoch"]))

    def on_trial(self, trial: Any) -> None:
        self.states.append((trial["trial"], trial["state"]))

    def on_progress(self, stage: str, done: int, total: int, note: str) -> None:
        self.stages.add(stage)


def test_a_study_is_launched_with_callbacks_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLGSEARCH_CACHE", str(tmp_path / "cache"))
    url = f"sqlite:///{tmp_path}/a.db"
    study, recorder = mlgsearch.Study(TINY, url), Recorder()
    planned = study.plan(4)
    assert planned["packed_bytes"].is_monotonic_increasing
    assert planned["damage"].is_monotonic_decreasing
    assert study.launch(callbacks=[recorder], max_parallel=1)
    assert recorder.epochs == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [state for state in recorder.states if state[1] == "COMPLETE"] == [
        (0, "COMPLETE"),
        (1, "COMPLETE"),
    ]
    assert recorder.stages
    assert list(study.trials()["state"]) == ["COMPLETE", "COMPLETE"]
    again = Recorder()
    assert mlgsearch.Study.load(url, "tiny").launch(callbacks=[again])
    assert again.epochs == []


def test_launch_is_refused_in_another_thread(tmp_path: Path) -> None:
    found: list[str] = []

    def launch() -> None:
        try:
            mlgsearch.Study(TINY, f"sqlite:///{tmp_path}/a.db").launch()
        except UserError as error:
            found.append(str(error))

    thread = Thread(target=launch)
    thread.start()
    thread.join(60)
    assert found == ["launch: call it in the main thread: it stops on signals"]

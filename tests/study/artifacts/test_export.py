"""Exporting a trial: from its checkpoint, or one line that says why not."""

import csv
import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
import torch
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from mlgsearch.cli.app import app
from mlgsearch.errors import MlgsearchError
from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.paths import study_directory, trial_directory
from mlgsearch.records import StudyRecord, TrialRecord, TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.train.files.packed_file import load_packed, read_packed
from mlgsearch.train.spec import DataSpec, ModelSpec, OptimiserSpec, TeacherSpec, TrainSpec
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.student.trial import TrialJob
from mlgsearch.train.teacher.prepared import prepare
from tests.full_disk import full_disk
from tests.results.samples import a_study
from tests.study.driverless import empty_database

QUICK = OptimiserSpec(epochs=1, batch_size=32)
SPEC = TrainSpec(
    data=DataSpec(limit=120),
    model=ModelSpec(width=4),
    teacher=TeacherSpec(training=QUICK),
    training=QUICK,
)


@dataclass(frozen=True)
class Trained:
    """A trial that was trained: its record, its checkpoints, its logits on some images."""

    record: TrialRecord
    folder: Path
    images: torch.Tensor
    logits: torch.Tensor


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    torch.set_num_threads(1)
    prepared = prepare(SPEC, folder / "cache", epochs=1, device=torch.device("cpu"))
    shape = prepared.network_shape()
    found = uniform_settings(shape, (2, 6, 3, 6, 3))
    training = StudentTraining(prepared, TrialJob(found, SPEC), folder / "trial")
    training.run_epoch()
    images = prepared.training.inputs(torch.arange(5)).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        logits = training.network.eval()(images)
    summary = asdict(training.summary())
    record = TrialRecord(
        number=0,
        state=TrialState.COMPLETE,
        settings={name: setting.five for name, setting in found.items()},
        hyperparameters={},
        fingerprint=training.job.fingerprint,
        seed=0,
        sizes=network_sizes(shape, found),
        epochs_wanted=1,
        **summary,
    )
    return Trained(record, folder / "trial", images, logits)


class Exporter:
    """A study with that trial, and the command on it."""

    def __init__(self, folder: Path, trained: Trained):
        (folder / "a.db").write_bytes(empty_database())
        self.url = f"sqlite:///{folder}/a.db"
        self.engine: Engine = open_engine(self.url)
        store = ResultStore(self.engine)
        store.create_study(a_study())
        self.study: StudyRecord = store.study("digits")
        first = trained.record
        store.put_trial("digits", first)
        store.put_trial("digits", replace(first, number=1, reused_from=0))
        store.put_trial("digits", replace(first, number=2, fingerprint="another"))
        failed = replace(first, number=3, state=TrialState.FAIL, accuracy=None, loss=None)
        store.put_trial("digits", failed)
        store.put_trial("digits", replace(first, number=4, state=TrialState.RUNNING))
        store.put_trial("digits", replace(first, number=5))
        store.put_trial("digits", replace(first, number=6, epochs_wanted=2))
        self.runs = study_directory(Path(f"{folder}/a.db.runs"), self.study)
        for number in (0, 2, 6):
            shutil.copytree(trained.folder, trial_directory(self.runs, number))
        self.out = folder / "student.safetensors"

    def run(self, *arguments: str, name: str = "digits") -> Result:
        command = ["export", name, *arguments, "--storage", self.url]
        return CliRunner().invoke(app, command)

    def refused(self, *arguments: str, name: str = "digits") -> str:
        done = self.run(*arguments, name=name)
        assert isinstance(done.exception, MlgsearchError), done.output
        assert "\n" not in str(done.exception)
        return str(done.exception)


@pytest.fixture
def exporter(tmp_path: Path, trained: Trained) -> Iterator[Exporter]:
    exporter = Exporter(tmp_path, trained)
    yield exporter
    exporter.engine.dispose()


@torch.no_grad()
@pytest.mark.parametrize("number", [0, 1])
def test_an_exported_trial_gives_the_students_logits(
    exporter: Exporter, trained: Trained, number: int
) -> None:
    done = exporter.run(str(number), str(exporter.out))
    assert done.exit_code == 0, done.output
    size = exporter.out.stat().st_size
    assert size == trained.record.packed_bytes
    assert done.stdout == f"{exporter.out}: packed, {size:,} bytes\n"
    card, _ = read_packed(exporter.out)
    assert (card.study, card.trial, card.teacher) == ("digits", number, trained.record.teacher_hash)
    assert card.accuracy == pytest.approx(trained.record.accuracy, abs=1e-6)
    assert torch.equal(load_packed(exporter.out)(trained.images), trained.logits)


@pytest.mark.parametrize("kind", ["dense", "onnx", "dense onnx"])
def test_other_formats_are_written(exporter: Exporter, kind: str) -> None:
    *form, of = kind.split()
    options = [f"--form={form[0]}"] if form else []
    done = exporter.run("0", str(exporter.out), "--format", of, *options)
    assert done.stdout == f"{exporter.out}: {kind}, {exporter.out.stat().st_size:,} bytes\n"


def test_c_is_written_into_a_folder(exporter: Exporter) -> None:
    out = exporter.out.with_suffix("")
    done = exporter.run("0", str(out), "--format", "c")
    size = sum(path.stat().st_size for path in out.iterdir())
    assert done.stdout == f"{out}: c, {size:,} bytes\n"
    assert {path.name for path in out.iterdir()} == {"mlg.c", "student.h"}
    said = exporter.refused("0", str(out), "--format", "c")
    assert said == f"{out}: exists: write --force to replace it"
    assert exporter.run("0", str(out), "--format", "c", "--force").exit_code == 0
    assert exporter.refused("0", str(out)) == f"{out}: is a folder"
    exporter.out.touch()
    said = exporter.refused("0", str(exporter.out), "--format", "c", "--force")
    assert said == f"{exporter.out}: is a file, and C is written as a folder"


def test_a_form_is_refused_where_the_format_has_none(exporter: Exporter) -> None:
    said = "--form dense is for --format onnx, not packed"
    assert exporter.refused("0", str(exporter.out), "--form", "dense") == said


def test_the_whole_front_is_written_with_a_table_and_an_index(
    exporter: Exporter, trained: Trained
) -> None:
    store = ResultStore(exporter.engine)
    for number in (2, 5, 6):  # these have no checkpoint that is theirs
        store.put_trial("digits", replace(store.trial("digits", number), accuracy=0.01, loss=9.0))
    folder = exporter.out.parent / "a" / "front"
    done = exporter.run("--front", str(folder))
    assert done.exit_code == 0, done.output
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["front.csv", "index.json", "trial-0.safetensors"]
    size = (folder / "trial-0.safetensors").stat().st_size
    index = json.loads((folder / "index.json").read_text())
    (student,) = index["students"]
    assert (index["study"], student["trial"], student["file"]) == ("digits", 0, names[2])
    assert (student["file_bytes"], student["packed_bytes"]) == (size, size)
    with (folder / "front.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["file"], row["trial"]) == (names[2], "0")
    assert read_packed(folder / "trial-0.safetensors")[0].trial == 0
    assert "exists: write --force" in exporter.refused("--front", str(folder))
    assert exporter.run("--front", str(folder), "--force").exit_code == 0


def test_a_trial_or_the_front(exporter: Exporter) -> None:
    folder = str(exporter.out.parent / "front")
    assert exporter.refused("0", str(exporter.out), "--front", folder).startswith("--front writes")
    assert exporter.refused("0").startswith("name a TRIAL and the file OUT")
    assert exporter.refused().startswith("name a TRIAL")


def test_a_missing_package_is_named(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "mlgsearch.train.files.onnx.onnx_file", raising=False)
    monkeypatch.delitem(sys.modules, "mlgsearch.train.files.onnx.functions", raising=False)
    said = exporter.refused("0", str(exporter.out), "--format", "onnx")
    assert said == "ONNX files need onnx: pip install 'mlgsearch[onnx]'"


@pytest.mark.parametrize("kind", ["packed", "dense"])
@pytest.mark.parametrize("is_there", [False, True])
def test_on_a_full_disk_it_says_so_and_leaves_what_was_there(
    exporter: Exporter, kind: str, is_there: bool
) -> None:
    """The disk is full from the n-th step of writing on, for every n; then there is room."""
    if is_there:
        exporter.out.write_text("mine")
    before = set(exporter.out.parent.iterdir())
    for failing in range(1, 20):
        with full_disk(failing) as disk:
            done = exporter.run("0", str(exporter.out), "--format", kind, "--force")
        if not disk.is_full:
            break
        said = f"{exporter.out}: cannot be written: No space left on device"
        assert isinstance(done.exception, MlgsearchError), done.output
        assert str(done.exception) == said
        assert set(exporter.out.parent.iterdir()) == before
        assert not is_there or exporter.out.read_text() == "mine"
    assert 3 < failing < 19
    assert done.stdout.endswith(f"{exporter.out.stat().st_size:,} bytes\n")


def test_a_file_is_replaced_only_when_it_is_asked_for(exporter: Exporter) -> None:
    exporter.out.write_text("mine")
    assert "exists: write --force" in exporter.refused("0", str(exporter.out))
    assert exporter.out.read_text() == "mine"
    assert exporter.run("0", str(exporter.out), "--force").exit_code == 0
    load_packed(exporter.out)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("2", "is not the end of it, but epoch 1 of job"),
        ("3", "trial 3 of 'digits' is FAIL: only a COMPLETE one is exported"),
        ("4", "trial 4 of 'digits' is RUNNING"),
        ("5", "trial 5 of 'digits': there is no good checkpoint in"),
        ("6", "is not the end of it, but epoch 1"),
        ("9", "has no trial 9"),
    ],
)
def test_a_trial_that_cannot_be_exported_is_reported(
    exporter: Exporter, number: str, said: str
) -> None:
    assert said in exporter.refused(number, str(exporter.out))
    assert not exporter.out.exists()


def test_a_damaged_checkpoint_is_reported(exporter: Exporter) -> None:
    for path in trial_directory(exporter.runs, 0).glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-7])
    assert "no good checkpoint" in exporter.refused("0", str(exporter.out))


def test_a_wrong_place_or_name_is_reported(exporter: Exporter, tmp_path: Path) -> None:
    assert "is a folder" in exporter.refused("0", str(tmp_path), "--force")
    assert "cannot be written" in exporter.refused("0", str(tmp_path / "a.db" / "x"))
    assert "no study 'digit'; there is 'digits'" in exporter.refused(
        "0", str(exporter.out), name="digit"
    )


@torch.no_grad()
def test_a_coded_file_has_fewer_bytes_and_the_students_logits(
    exporter: Exporter, trained: Trained
) -> None:
    done = exporter.run("0", str(exporter.out), "--coded")
    assert done.exit_code == 0, done.output
    size = exporter.out.stat().st_size
    assert trained.record.packed_bytes is not None
    assert size < 0.85 * trained.record.packed_bytes
    assert done.stdout == f"{exporter.out}: coded packed, {size:,} bytes\n"
    assert torch.equal(load_packed(exporter.out)(trained.images), trained.logits)
    assert "--coded is for --format packed, not c" in exporter.refused(
        "0", "a", "--coded", "--format", "c"
    )


@torch.no_grad()
@pytest.mark.parametrize("kind", ["packed", "onnx"])
def test_a_card_lies_beside_the_file_and_its_code_runs(
    exporter: Exporter, trained: Trained, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exporter.out.parent)
    out = exporter.out.with_name("a.onnx" if kind == "onnx" else "a.safetensors")
    done = exporter.run("0", str(out), "--format", kind, "--card", "--data-license", "CC BY 4.0")
    assert done.exit_code == 0, done.output
    card = out.with_suffix(".md").read_text()
    assert f"| `{out.name}` | {out.stat().st_size:,} bytes |" in card
    assert "CC BY 4.0" in card
    assert str(exporter.out.parent) not in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    exporter.run("0", "of-numbers.safetensors")
    reported, _ = read_packed(Path("of-numbers.safetensors"))
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (reported.mean, reported.std))
    pixels = 255 * (trained.images * std + mean)
    scope = {"pixels": pixels if kind == "packed" else pixels.numpy()}
    exec(compile(code, "card", "exec"), scope)
    found = torch.as_tensor(scope["logits"])
    torch.testing.assert_close(found, trained.logits, rtol=1e-3, atol=1e-3)


def test_a_card_that_is_there_is_kept(exporter: Exporter) -> None:
    exporter.out.with_suffix(".md").write_text("mine")
    said = exporter.refused("0", str(exporter.out), "--card")
    assert said == f"{exporter.out.with_suffix('.md')}: exists: write --force to replace it"
    assert not exporter.out.exists()
    assert "--data-license is for" in exporter.refused("0", "a", "--data-license", "MIT")
    assert "let OUT end otherwise" in exporter.refused("0", "a.md", "--card")


@torch.no_grad()
def test_batch_norm_is_rounded_to_8_bits(exporter: Exporter, trained: Trained) -> None:
    done = exporter.run("0", str(exporter.out), "--norm-bits", "8", "--card")
    assert done.exit_code == 0, done.output
    assert trained.record.packed_bytes is not None
    assert exporter.out.stat().st_size < 0.95 * trained.record.packed_bytes
    card, _ = read_packed(exporter.out)
    assert (card.norm_bits, card.accuracy, card.trial) == (8, None, 0)
    said = exporter.out.with_suffix(".md").read_text()
    assert "this student before the file rounded its batch-norm to 8 bits" in said
    logits = load_packed(exporter.out)(trained.images)
    assert 0 < (logits - trained.logits).abs().max() < 0.1 * trained.logits.std()
    refused = exporter.refused("0", str(exporter.out), "--norm-bits", "8", "--format", "onnx")
    assert refused == "--norm-bits is for --format packed, not onnx"
    assert "write 8" in exporter.refused("0", str(exporter.out), "--norm-bits", "4")

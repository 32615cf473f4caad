import json
import sqlite3
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from typer.testing import CliRunner

from mlgsearch.cli.app import app
from mlgsearch.errors import StorageError
from mlgsearch.study import dry_run
from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec, OptimiserSpec
from mlgsearch.words import duration

STUDY = """
name: tiny
data: {name: digits, limit: 600}
model: {name: resnet8, width: 4}
teacher: {training: {epochs: 3}}
training: {epochs: 2}
search: {n_trials: 12, first: [[2, 8, 4, 6, 4]]}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLGSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY)
    return path


def test_it_says_what_would_be_trained_and_leaves_nothing(file: Path) -> None:
    done = CliRunner().invoke(app, ["launch", str(file), "--dry-run", "--max-parallel", "1"])
    assert done.exit_code == 0, done.output
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert lines[0][0] == "Study"
    rows = {" ".join(words[:1]): words[1] for words in lines[1:]}
    assert rows["data"] == "418 images to train on, 91 to judge by, 10 classes"
    assert rows["network"].startswith("resnet8, 5,142 parameters, 10 layers")
    assert rows["teacher"].startswith("trained in about ")
    assert rows["trials"] == "12: 1 from the file, 8 planned, 3 proposed by tpe"
    assert rows["a"].startswith("trial   2 epochs, about ")
    assert rows["in"].endswith("on this machine, 1 at once")
    assert [path.name for path in file.parent.iterdir()] == ["tiny.yaml"]


def test_it_is_one_object_and_keeps_to_the_total(file: Path) -> None:
    command = ["launch", str(file), "--dry-run", "--json", "--trials", "5", "--max-parallel", "1"]
    done = CliRunner().invoke(app, command)
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert (found["event"], found["study"], found["at_once"]) == ("dry_run", "tiny", 1)
    assert (found["given"], found["planned"], found["proposed"]) == (1, 4, 0)
    assert 0 < found["trial_s"] < found["total_s"] < 600
    assert found["total_s"] == pytest.approx(found["teacher_s"] + 5 * found["trial_s"])


def test_epochs_of_the_head_alone_are_timed_as_such(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = build_model(ModelSpec(width=4), classes=10, channels=1, image_size=(8, 8))
    torch.save(network.state_dict(), "teacher.pth")
    teacher = "{checkpoint: teacher.pth, head: new, head_epochs: 2, training: {epochs: 5}}"
    file.write_text(STUDY.replace("{training: {epochs: 3}}", teacher))
    timed = []

    def build(network: nn.Module, spec: OptimiserSpec) -> Optimizer:
        moved = [name for name, each in network.named_parameters() if each.requires_grad]
        timed.append((spec.epochs, moved))
        return build_optimiser(network, spec)

    monkeypatch.setattr(dry_run, "build_optimiser", build)
    done = CliRunner().invoke(app, ["launch", str(file), "--dry-run", "--json"])
    assert done.exit_code == 0, done.output
    (alone, head), (rest, whole), (student, _) = timed
    assert (alone, rest, student) == (2, 3, 2)
    assert head == ["fc.weight", "fc.bias"]
    assert set(head) < set(whole)


def test_what_launch_would_refuse_it_refuses(file: Path) -> None:
    file.write_text(STUDY + "limits: {packed_bytes: 100}\n")
    done = CliRunner().invoke(app, ["launch", str(file), "--dry-run"])
    assert "limits.packed_bytes: 100 cannot be kept" in str(done.exception)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "0 s"), (59.9, "59 s"), (100, "1 min 40 s"), (3600, "1 h"), (93_600, "1 d 2 h")],
)
def test_durations_as_one_reads_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_table_to_start_from_needs_no_database(file: Path) -> None:
    (file.parent / "front.csv").write_text('settings\n"{""layer1.0.conv1"": [1, 4, 2, 2, 2]}"\n')
    file.write_text(STUDY.replace("first:", "warm_start: [front.csv], first:"))
    command = ["launch", str(file), "--dry-run", "--json", "--max-parallel", "1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["given"] == 2


def test_a_study_to_start_from_needs_a_database_that_is_ours(file: Path) -> None:
    file.write_text(STUDY.replace("first:", "warm_start: [cold], first:"))
    done = CliRunner().invoke(app, ["launch", str(file), "--dry-run"])
    assert isinstance(done.exception, StorageError)
    sqlite3.connect(file.parent / "mlgsearch.db").execute("CREATE TABLE other (x)")
    done = CliRunner().invoke(app, ["launch", str(file), "--dry-run"])
    assert isinstance(done.exception, StorageError)

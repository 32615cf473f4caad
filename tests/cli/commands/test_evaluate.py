"""`evaluate`: what a file is worth, measured again."""

import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from mlgsearch.errors import DataError, MlgsearchError
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import EpochRecord
from mlgsearch.train.data.load import load_images
from mlgsearch.train.files.c.c_folder import write_c
from mlgsearch.train.files.coded_file import write_coded
from mlgsearch.train.files.dense_file import write_dense_onnx
from mlgsearch.train.files.onnx.onnx_file import write_onnx
from mlgsearch.train.files.packed_file import write_packed
from mlgsearch.train.files.student_file import at_norm_bits
from mlgsearch.train.networks.residual import CifarResNet
from mlgsearch.train.spec import DataSpec, ModelSpec, OptimiserSpec, TeacherSpec, TrainSpec
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.student.trial import TrialJob
from mlgsearch.train.teacher.prepared import prepare
from tests.cli import running

TRAINING = OptimiserSpec(optimiser="adamw", epochs=1, batch_size=32, learning_rate=1e-2)
SPEC = TrainSpec(
    data=DataSpec(limit=300),
    model=ModelSpec(name=f"{__name__}:network"),
    teacher=TeacherSpec(training=TRAINING),
    training=TRAINING,
)
STUDY = "name: x\ndata: {name: digits, limit: 300}\n"


def network(*, classes: int, channels: int, image_size: tuple[int, int]) -> torch.nn.Module:
    assert image_size == (8, 8)
    return CifarResNet(1, width=4, classes=classes, channels=channels, head_bias=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluate")


@pytest.fixture(scope="module")
def last(folder: Path) -> EpochRecord:
    """Two files of one student, of a network of one's own and of its equal that we know."""
    torch.set_num_threads(1)
    prepared = prepare(SPEC, folder / "cache", epochs=1, device=torch.device("cpu"))
    found = uniform_settings(prepared.network_shape(), (2, 6, 3, 6, 3))
    training = StudentTraining(prepared, TrialJob(found, SPEC))
    last = training.run_epoch()
    card = training.card()
    write_packed(folder / "own.safetensors", training.network.eval(), card)
    known = card.model_copy(update={"model": ModelSpec(name="resnet8", width=4)})
    write_packed(folder / "known.safetensors", training.network, known)
    write_coded(folder / "known.mlg", training.network, known)
    rounded = at_norm_bits(known, "coded", 8)
    write_coded(folder / "rounded.mlg", training.network, rounded)
    write_onnx(folder / "known.onnx", training.network, known)
    write_dense_onnx(folder / "dense.onnx", training.network, known)
    write_c(folder / "known", training.network, known)
    (folder / "study.yaml").write_text(STUDY)
    return last


@pytest.fixture(autouse=True)
def _cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLGSEARCH_CACHE", str(folder / "cache"))


run, printed = partial(running.invoke, "evaluate"), partial(running.printed, "evaluate")


@pytest.mark.parametrize("options", [(), ("--build", f"{__name__}:network")])
def test_the_validation_part_gives_what_the_training_saw(
    folder: Path, last: EpochRecord, options: tuple[str, ...]
) -> None:
    path = folder / ("own.safetensors" if options else "known.safetensors")
    fields = printed(path, "--data", folder / "study.yaml", *options)
    assert fields["accuracy"] == last.validation_accuracy
    assert fields["loss"] == last.validation_loss
    assert fields["recorded_accuracy"] == pytest.approx(last.validation_accuracy, abs=1e-6)
    assert fields["packed_bytes"] == path.stat().st_size
    assert fields["onnx_bytes"] is None
    assert fields["dense_bytes"] > fields["packed_bytes"]
    assert [latency["batch"] for latency in fields["latency"]] == [1, 64]
    assert all(latency["packed_ms"] > 0 < latency["dense_ms"] for latency in fields["latency"])


def test_an_onnx_file_is_measured_beside_the_packed_and_the_dense_one(
    folder: Path, last: EpochRecord
) -> None:
    path = folder / "known.onnx"
    fields = printed(path, "--data", folder / "study.yaml")
    assert fields["accuracy"] == last.validation_accuracy
    assert fields["loss"] == pytest.approx(last.validation_loss, rel=1e-5)
    assert fields["packed_bytes"] == (folder / "known.safetensors").stat().st_size
    assert fields["onnx_bytes"] == path.stat().st_size
    for latency in fields["latency"]:
        assert all(latency[kind] > 0 for kind in ("onnx_ms", "packed_ms", "dense_ms"))
    table = run(path, "--data", folder / "study.yaml").stdout
    assert f"{fields['onnx_bytes']:,} bytes (packed: {fields['packed_bytes']:,} bytes)" in table
    assert "onnx ms" in table


def test_a_coded_file_is_measured_as_the_packed_one(folder: Path, last: EpochRecord) -> None:
    path = folder / "known.mlg"
    fields = printed(path, "--data", folder / "study.yaml")
    assert fields["accuracy"] == last.validation_accuracy
    assert fields["loss"] == last.validation_loss
    assert fields["packed_bytes"] == (folder / "known.safetensors").stat().st_size
    assert fields["coded_bytes"] == path.stat().st_size < fields["packed_bytes"]


def test_a_file_with_batch_norm_at_8_bits_is_measured(folder: Path, last: EpochRecord) -> None:
    path = folder / "rounded.mlg"
    fields = printed(path, "--data", folder / "study.yaml")
    assert fields["loss"] == pytest.approx(last.validation_loss, rel=0.02)
    assert fields["loss"] != last.validation_loss
    assert fields["packed_bytes"] < (folder / "known.safetensors").stat().st_size
    assert fields["coded_bytes"] < (folder / "known.mlg").stat().st_size


def test_a_c_program_is_compiled_and_measured(folder: Path, last: EpochRecord) -> None:
    fields = printed(folder / "known", "--data", folder / "study.yaml")
    assert fields["accuracy"] == last.validation_accuracy
    assert fields["loss"] == pytest.approx(last.validation_loss, rel=1e-5)
    assert fields["packed_bytes"] == (folder / "known.safetensors").stat().st_size
    made = fields["c"]
    assert 1_000 < made["code_bytes"] < 20_000
    assert made["flash_bytes"] > made["code_bytes"] + 2_000
    assert made["activation_bytes"] == 4 * 3 * 4 * 64
    assert 0 < made["scratch_bytes"] < 2_000
    assert made["image_ms"] > 0
    table = run(folder / "known", "--data", folder / "study.yaml").stdout
    assert f"{made['scratch_bytes']:,} of scratch and {made['activation_bytes']:,}" in table


@pytest.mark.usefixtures("last")
def test_another_c_program_is_never_compiled(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, source = "student.h", "mlg.c"
    text = (folder / "known" / header).read_text()
    for name, changed, said in (
        (source, "int main(void) { return 0; }", "it is not as this version of mlgsearch writes"),
        (header, text.replace(".sh = 2", ".sh = 1"), "it is not as this version of mlgsearch"),
        (header, text + "int other;", "it is not as this version of mlgsearch writes it"),
        (header, "int other;", "no header that mlgsearch wrote"),
        (header, text.replace("CODES[] = {\n", "CODES[] = {\nx,"), "no header that mlgsearch"),
        (header, text.replace('"classes": "10"', '"classes": "x"'), "its metadata are not valid"),
    ):
        shutil.copytree(folder / "known", tmp_path, dirs_exist_ok=True)
        (tmp_path / name).write_text(changed)
        done = run(tmp_path, "--data", "digits")
        assert isinstance(done.exception, DataError), (said, done.output)
        assert said in str(done.exception)
    (tmp_path / header).unlink()
    done = run(tmp_path, "--data", "digits")
    assert "student.h: cannot be read: No such file" in str(done.exception)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run(folder / "known", "--data", "digits")
    assert str(done.exception) == "C programs are measured with cc, which is not installed"


@pytest.mark.usefixtures("last")
def test_a_foreign_or_dense_onnx_file_is_refused(folder: Path, tmp_path: Path) -> None:
    content = (folder / "known.onnx").read_bytes()
    foreign = onnx.load_from_string(content)
    del foreign.metadata_props[:]
    stripped = onnx.load_from_string(content)
    del stripped.graph.node[-1]
    short = onnx.load_from_string(content)
    (codes,) = (t for t in short.graph.initializer if t.name == "codes")
    codes.CopyFrom(onnx.numpy_helper.from_array(np.zeros(3, np.uint8), "codes"))
    for changed, said in (
        (content[: len(content) // 2], "truncated, or no ONNX file"),
        (foreign.SerializeToString(), "no ONNX file that mlgsearch wrote"),
        (stripped.SerializeToString(), "onnxruntime refuses it"),
        (short.SerializeToString(), "onnxruntime refuses it|tensor 'codes' is"),
        ((folder / "dense.onnx").read_bytes(), "a dense ONNX file: only a compressed one"),
    ):
        (path := tmp_path / "a.onnx").write_bytes(changed)
        done = run(path, "--data", "digits")
        assert isinstance(done.exception, MlgsearchError), (said, done.output)
        assert re.search(said, str(done.exception))
        assert "\n" not in str(done.exception)
    missing = run(tmp_path / "none.onnx", "--data", "digits")
    assert "cannot be read: No such file" in str(missing.exception)


def test_a_table_shows_the_test_part(folder: Path, last: EpochRecord) -> None:
    done = run(folder / "known.safetensors", "--data", "digits", "--part", "test")
    samples = len(load_images(DataSpec(), folder / "cache").test)
    assert f" on {samples} test samples" in done.stdout
    assert f"(recorded: {last.validation_accuracy:.2%} on validation)" in done.stdout
    assert "times faster" in done.stdout


@pytest.mark.usefixtures("last")
def test_a_mistake_is_told_in_a_line(folder: Path, tmp_path: Path) -> None:
    known, own = folder / "known.safetensors", folder / "own.safetensors"
    (tmp_path / "foreign").write_bytes(b"no")
    for arguments, said in (
        ((known, "--data", "digitz"), "got 'digitz'; did you mean digits?"),
        ((known, "--data", "CIFAR10"), "--data CIFAR10: data.root is needed"),
        ((known, "--data", "CIFAR10", "--root", tmp_path), "does not hold CIFAR10"),
        ((known, "--data", "none.yaml"), "none.yaml: no such file"),
        ((own, "--data", "digits"), "which `build` must make"),
        ((own, "--data", "digits", "--build", "x"), "cannot import 'x'"),
        ((own, "--data", "digits", "--build", ":x"), "cannot import ''"),
        ((tmp_path / "foreign", "--data", "digits"), "truncated, or no packed file"),
        ((tmp_path / "none", "--data", "digits"), "cannot be read: No such file"),
    ):
        done = run(*arguments)
        assert isinstance(done.exception, MlgsearchError), (arguments, done.output)
        assert said in str(done.exception)
        assert "\n" not in str(done.exception)


@pytest.mark.usefixtures("last")
def test_data_of_another_shape_are_refused(folder: Path, tmp_path: Path) -> None:
    study = tmp_path / "large.yaml"
    study.write_text("name: x\ndata: {name: digits, image_size: 16}\n")
    done = run(folder / "known.safetensors", "--data", study)
    assert "it takes images of 1x8x8 in 10 classes, digits has 1x16x16 in 10" in str(done.exception)

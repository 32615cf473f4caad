"""From a checkpoint to a network and to plain files, without data and without a teacher."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from mlgsearch.errors import DataError, UserError
from mlgsearch.train.files.dense_file import write_dense, write_dense_onnx
from mlgsearch.train.files.onnx.onnx_file import write_onnx
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import load_packed, write_packed
from mlgsearch.train.loop import checkpoint
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import QuantisationSpec
from mlgsearch.train.student import finished_student as finished_student_module
from mlgsearch.train.student.finished_student import open_student
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.teacher.prepared import Prepared
from tests.train.student.test_student import finish, job


@pytest.fixture(scope="module")
def training(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> StudentTraining:
    folder = tmp_path_factory.mktemp("trial")
    training = StudentTraining(prepared, job(prepared, (2, 6, 3, 6, 3)), folder)
    finish(training)
    training.network.eval()
    return training


@pytest.fixture(scope="module")
def folder(training: StudentTraining) -> Path:
    assert training._directory is not None
    return training._directory


@pytest.fixture(scope="module")
def images(prepared: Prepared) -> Tensor:
    inputs = prepared.training.inputs(torch.arange(9))
    return inputs.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def test_the_student_comes_back_bit_for_bit(
    training: StudentTraining, folder: Path, images: Tensor, tmp_path: Path
) -> None:
    student = open_student(folder)
    assert student.fingerprint == training.job.fingerprint
    assert student.epochs_done == training.epochs_done
    assert student.card.to_metadata() == training.card().to_metadata()
    expected = training.network(images)
    assert torch.equal(student.network(images), expected)
    size = write_packed(tmp_path / "a.safetensors", student.network, student.card)
    assert size == training.summary().packed_bytes
    assert torch.equal(load_packed(tmp_path / "a.safetensors")(images), expected)


@torch.no_grad()
def test_the_dense_file_loads_strictly_into_an_untouched_network(
    training: StudentTraining, folder: Path, images: Tensor, tmp_path: Path
) -> None:
    student = open_student(folder)
    path = tmp_path / "dense.safetensors"
    assert write_dense(path, student.network, student.card) == path.stat().st_size
    plain = build_model(student.card.model, classes=10, channels=1, image_size=(8, 8)).eval()
    plain.load_state_dict(load_file(path), strict=True)
    assert (plain(images) - training.network(images)).abs().max() < 1e-4
    trained = training.network.state_dict()
    assert torch.equal(plain.state_dict()["bn1.running_var"], trained["bn1.running_var"])
    with safe_open(path, framework="pt") as opened:
        assert opened.metadata()["model"] == "resnet8"


@torch.no_grad()
@pytest.mark.parametrize("write", [write_onnx, write_dense_onnx])
def test_the_onnx_file_runs_elsewhere(
    training: StudentTraining,
    folder: Path,
    images: Tensor,
    tmp_path: Path,
    write: Callable[[Path, nn.Module, PackedCard], int],
) -> None:
    student = open_student(folder)
    path = tmp_path / "a.onnx"
    assert write(path, student.network, student.card) == path.stat().st_size
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert (given.name, given.shape[1:]) == ("images", [1, 8, 8])
    for batch in (1, 9):
        (logits,) = session.run(["logits"], {"images": images[:batch].numpy()})
        expected = training.network(images[:batch]).numpy()
        assert np.abs(logits - expected).max() < 1e-4
    properties = session.get_modelmeta().custom_metadata_map
    assert properties["settings"] == student.card.to_metadata()["settings"]


@pytest.mark.parametrize(
    "quantisation",
    [QuantisationSpec(norm_bits=16), QuantisationSpec(in_bits=8)],
    ids=["norm_bits", "in_bits"],
)
@torch.no_grad()
def test_a_student_of_few_bits_is_the_same_everywhere(
    prepared: Prepared, images: Tensor, tmp_path: Path, quantisation: QuantisationSpec
) -> None:
    asked = job(prepared, (2, 6, 3, 6, 3), quantisation=quantisation)
    training = StudentTraining(prepared, asked, tmp_path)
    with torch.enable_grad():
        record = training.run_epoch()
    training.network.eval()
    expected = training.network(images)
    student = open_student(tmp_path)
    assert torch.equal(student.network(images), expected)
    write_packed(tmp_path / "a.safetensors", student.network, student.card)
    loaded = load_packed(tmp_path / "a.safetensors")
    assert torch.equal(loaded(images), expected)
    assert prepared.validation.evaluate(loaded, torch.channels_last) == (
        record.validation_loss,
        record.validation_accuracy,
    )
    for write in (write_onnx, write_dense_onnx):
        write(path := tmp_path / "a.onnx", student.network, student.card)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        assert np.abs(logits - expected.numpy()).max() < 1e-4
    dense = tmp_path / "dense.safetensors"
    if quantisation.in_bits != 32:
        with pytest.raises(UserError, match="inputs are quantised at 8 bits"):
            write_dense(dense, student.network, student.card)
        return
    write_dense(dense, student.network, student.card)
    plain = build_model(student.card.model, classes=10, channels=1, image_size=(8, 8)).eval()
    plain.load_state_dict(load_file(dense), strict=True)
    assert (plain(images) - expected).abs().max() < 1e-4


@torch.no_grad()
def test_a_checkpoint_of_before_an_option_is_opened(
    training: StudentTraining, images: Tensor, tmp_path: Path
) -> None:
    tensors, metadata = checkpoint.capture(training.network, training._optimiser, 4)
    texts = training.card().to_metadata() | {"format": "mlgsearch-packed-1"}
    del texts["norm_bits"], texts["in_bits"]
    metadata |= {"fingerprint": "", "card": texts}
    checkpoint.save(tmp_path, "student", tensors, metadata)
    assert torch.equal(open_student(tmp_path).network(images), training.network(images))


def test_no_checkpoint_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"no good checkpoint in {tmp_path}"):
        open_student(tmp_path)


def test_a_checkpoint_of_another_network_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(*args: object, **kwargs: object) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(3, 2))

    monkeypatch.setattr(finished_student_module, "build_model", other)
    with pytest.raises(DataError, match="is of another network resnet8"):
        open_student(folder)

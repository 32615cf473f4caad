from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from mlgsearch.errors import SettingError
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import EpochRecord, FiveNumbers
from mlgsearch.train.files.packed_file import load_packed, write_packed
from mlgsearch.train.loop import batch_norm, checkpoint
from mlgsearch.train.loop.epoch import TrainingDivergedError
from mlgsearch.train.networks.residual import CifarResNet
from mlgsearch.train.spec import OptimiserSpec, QuantisationSpec, TrainSpec
from mlgsearch.train.student.student import CHECKPOINT, StudentTraining
from mlgsearch.train.student.trial import TrialJob
from mlgsearch.train.teacher.prepared import Prepared, prepare
from mlgsearch.train.tensor_file import read_tensors, write_tensors

CPU = torch.device("cpu")

#: Half of the steps are averaged, so that the averaging goes over an epoch's end.
AVERAGED = OptimiserSpec(epochs=4, average=0.5)


def job(prepared: Prepared, five: FiveNumbers = (2, 6, 4, 5, 4), **changes: object) -> TrialJob:
    spec = prepared.spec.model_copy(update=changes)
    return TrialJob(uniform_settings(prepared.network_shape(), five), spec)


def finish(training: StudentTraining) -> list[EpochRecord]:
    """Run what is left; give all records, without what a clock says."""
    while not training.is_done:
        training.run_epoch()
    return [replace(record, epoch_s=0.0) for record in training.history]


def assert_same_weights(first: nn.Module, second: nn.Module) -> None:
    other = second.state_dict()
    for name, tensor in first.state_dict().items():
        assert torch.equal(other[name], tensor), name


def with_dropout(*, classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    assert image_size == (8, 8)
    body = CifarResNet(1, width=4, classes=16, channels=channels, head_bias=True)
    return nn.Sequential(body, nn.Dropout(0.3), nn.Linear(16, classes))


@pytest.fixture(scope="session")
def prepared_with_dropout(tiny_spec: TrainSpec, cache: Path) -> Prepared:
    """With dropout and augmentation: all that is drawn while training."""
    spec = tiny_spec.model_copy(
        update={
            "model": tiny_spec.model.model_copy(update={"name": f"{__name__}:with_dropout"}),
            "data": tiny_spec.data.model_copy(
                update={"augmentation": "crop_flip", "crop_padding": 1}
            ),
        }
    )
    torch.set_num_threads(1)
    return prepare(spec, cache, epochs=4, device=CPU)


@pytest.mark.parametrize(
    "changes",
    [
        {"quantisation": QuantisationSpec(method="dorefa")},
        {"quantisation": QuantisationSpec(method="lsq")},
        {"quantisation": QuantisationSpec(norm_bits=16, in_bits=6, noise_ratio=0.5)},
        {"training": AVERAGED},
        {"training": AVERAGED.model_copy(update={"average": 0.75})},
    ],
    ids=["dorefa", "lsq", "options", "averaged after the cut", "averaged across it"],
)
def test_resumed_is_undisturbed_bit_for_bit(
    prepared_with_dropout: Prepared, tmp_path: Path, changes: dict[str, Any]
) -> None:
    asked = job(prepared_with_dropout, **changes)
    straight = StudentTraining(prepared_with_dropout, asked)
    records = finish(straight)
    assert [record.epoch for record in records] == [1, 2, 3, 4]

    cut = StudentTraining(prepared_with_dropout, asked, tmp_path)
    cut.run_epoch()
    cut.run_epoch()
    cut.close()
    torch.rand(17)
    resumed = StudentTraining(prepared_with_dropout, asked, tmp_path, resumes=True)
    assert resumed.epochs_done == 2
    assert resumed.projection_error == straight.projection_error
    assert finish(resumed) == records
    assert_same_weights(straight.network, resumed.network)
    assert resumed.summary().accuracy == straight.summary().accuracy
    # And one more time, with nothing left to do.
    done = StudentTraining(prepared_with_dropout, asked, tmp_path, resumes=True)
    assert done.is_done
    assert_same_weights(straight.network, done.network)
    with pytest.raises(ValueError, match="all 4 epochs are finished"):
        done.run_epoch()


def test_the_seed_decides(prepared: Prepared) -> None:
    first, again, other = (
        finish(StudentTraining(prepared, job(prepared, seed=seed))) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_a_student_learns_and_reports_what_it_took(prepared: Prepared, tmp_path: Path) -> None:
    training = StudentTraining(prepared, job(prepared, (3, 12, 6, 6, 6)), tmp_path)
    assert training.summary().accuracy is None
    records = finish(training)
    assert records[-1].train_loss < records[0].train_loss
    assert records[-1].validation_accuracy > 0.3
    summary = training.summary()
    assert summary.epochs_done == 4
    assert summary.accuracy == records[-1].validation_accuracy
    assert summary.loss == records[-1].validation_loss
    assert set(summary.stage_seconds) == {
        "build",
        "project",
        "batch_norm",
        "train",
        "validate",
        "checkpoint",
    }
    assert summary.projection_error.keys() == prepared.network_shape().layers.keys()
    assert 0 < summary.projection_error["layer3.0.conv2"] < 1
    assert summary.teacher_hash == prepared.teacher_hash
    assert "torch" in summary.versions


def test_full_precision_students_begin_as_the_teacher(prepared: Prepared) -> None:
    training = StudentTraining(prepared, job(prepared, (0, 0, 32, 32, 32)))
    assert max(training.summary().projection_error.values()) == 0
    _, accuracy = prepared.validation.evaluate(training.network)
    assert accuracy == prepared.teacher.accuracy
    assert all(p.requires_grad for p in training.network.parameters())
    training.run_epoch()
    assert not any(p.requires_grad for p in prepared.teacher.network.parameters())


def test_batch_norm_is_estimated_anew_once(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def count(network: nn.Module, batches: object) -> None:
        calls.append(len(list(batches)))  # type: ignore[call-overload]

    monkeypatch.setattr(batch_norm, "reestimate_batch_norm", count)
    finish(StudentTraining(prepared, job(prepared)))
    assert calls == [4]
    finish(StudentTraining(prepared, job(prepared, training=AVERAGED)))
    assert calls == [4, 4, 4], "weights that were averaged have statistics of their own"


def test_weights_are_not_cached_while_training(prepared: Prepared) -> None:
    training = StudentTraining(prepared, job(prepared, (2, 12, 6, 6, 6)))
    before = {name: p.clone() for name, p in training.network.named_parameters()}
    training.run_epoch()
    assert not parametrize._cache_enabled
    assert not parametrize._cache
    moved = [n for n, p in training.network.named_parameters() if not torch.equal(p, before[n])]
    assert any("parametrizations" in name for name in moved)


def test_a_checkpoint_of_another_job_is_not_used(
    prepared: Prepared, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    StudentTraining(prepared, job(prepared), tmp_path).run_epoch()
    other = StudentTraining(prepared, job(prepared, seed=1), tmp_path, resumes=True)
    assert other.epochs_done == 0
    assert "is of another job" in caplog.text
    assert other.run_epoch().epoch == 1


def test_a_damaged_checkpoint_costs_one_epoch(prepared: Prepared, tmp_path: Path) -> None:
    training = StudentTraining(prepared, job(prepared), tmp_path)
    records = finish(training)
    newest = max(tmp_path.glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-9])
    resumed = StudentTraining(prepared, job(prepared), tmp_path, resumes=True)
    assert resumed.epochs_done == 3
    assert finish(resumed) == records


def test_a_checkpoint_of_an_earlier_version_is_projected_for_its_error(
    prepared: Prepared, tmp_path: Path
) -> None:
    training = StudentTraining(prepared, job(prepared), tmp_path)
    training.run_epoch()
    saved = checkpoint.load(tmp_path, CHECKPOINT)
    assert saved is not None
    del saved.metadata["projection_error"]
    checkpoint.save(tmp_path, CHECKPOINT, saved.tensors, saved.metadata)
    resumed = StudentTraining(prepared, job(prepared), tmp_path, resumes=True)
    assert resumed.epochs_done == 1
    assert resumed.projection_error == training.projection_error


@pytest.mark.parametrize("change", ["a new field", "a field less", "no history"])
def test_a_checkpoint_of_another_version_is_passed_over_in_a_line(
    prepared: Prepared, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    training = StudentTraining(prepared, job(prepared), tmp_path)
    training.run_epoch()
    training.run_epoch()
    newest = max(tmp_path.glob("*.safetensors"))
    tensors, metadata = read_tensors(newest)
    history = metadata["history"]
    assert isinstance(history, list)
    match change:
        case "a new field":
            history[0]["of_another_version"] = 1
        case "a field less":
            del history[0]["epoch_s"]
        case "no history":
            del metadata["history"]
    write_tensors(newest, tensors, metadata)
    resumed = StudentTraining(prepared, job(prepared), tmp_path, resumes=True)
    assert resumed.epochs_done == 1  # the one before is good
    assert caplog.text.count("checkpoint of another version passed over") == 1


def test_nothing_to_resume(prepared: Prepared, tmp_path: Path) -> None:
    for directory in (tmp_path, None):
        training = StudentTraining(prepared, job(prepared), directory, resumes=True)
        assert training.epochs_done == 0
        assert max(training.projection_error.values()) > 0


def test_a_loss_that_is_not_finite_is_reported(prepared: Prepared) -> None:
    hot = prepared.spec.training.model_copy(
        update={"learning_rate": 1e30, "optimiser": "sgd", "schedule": "constant"}
    )
    training = StudentTraining(prepared, job(prepared, (0, 0, 32, 32, 32), training=hot))
    with pytest.raises(TrainingDivergedError, match=r"loss (nan|inf) in epoch 1, step"):
        finish(training)


def test_a_job_of_another_study_is_refused(prepared: Prepared) -> None:
    other = prepared.spec.model.model_copy(update={"width": 5})
    with pytest.raises(ValueError, match=r"job's model is .*width=5.*was prepared"):
        StudentTraining(prepared, job(prepared, model=other))


def test_a_setting_for_no_layer_is_refused(prepared: Prepared) -> None:
    asked = TrialJob({"nowhere": LayerSetting.plain(8)}, prepared.spec)
    with pytest.raises(SettingError, match="no layer is called 'nowhere'"):
        StudentTraining(prepared, asked)


def test_threads_are_set(prepared: Prepared) -> None:
    StudentTraining(prepared, job(prepared), threads=2)
    assert torch.get_num_threads() == 2


def test_the_packed_files_size_is_known_at_the_end(prepared: Prepared, tmp_path: Path) -> None:
    training = StudentTraining(prepared, job(prepared), tmp_path)
    training.run_epoch()
    assert training.summary().packed_bytes is None
    finish(training)
    size = write_packed(tmp_path / "a.safetensors", training.network, training.card())
    assert training.summary().packed_bytes == size == (tmp_path / "a.safetensors").stat().st_size


def test_the_loaded_file_scores_as_the_student_did(prepared: Prepared, tmp_path: Path) -> None:
    training = StudentTraining(prepared, job(prepared, (2, 6, 3, 6, 3)))
    last = finish(training)[-1]
    path = tmp_path / "a.safetensors"
    write_packed(path, training.network, training.card())
    scored = prepared.validation.evaluate(load_packed(path), torch.channels_last)
    assert scored == (last.validation_loss, last.validation_accuracy)

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mlgsearch.errors import DataError
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.train.spec import ModelSpec, TrainSpec
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.student.trial import TrialJob
from mlgsearch.train.teacher.logits import TeacherLogits
from mlgsearch.train.teacher.prepared import Prepared
from mlgsearch.train.teacher.shared_arrays import SharedArrays, as_array, as_tensor

CPU = torch.device("cpu")


@pytest.fixture
def arrived(prepared: Prepared) -> SharedArrays:
    """A shipment as it lies in a node's shared memory: another's bytes, read-only."""
    arrived: SharedArrays = pickle.loads(
        pickle.dumps(SharedArrays.of(prepared.images, prepared.teacher, prepared.spec.model))
    )
    for array in arrived.arrays:
        array.setflags(write=False)
    return arrived


def test_a_training_on_what_was_shipped_is_the_same(
    prepared: Prepared,
    arrived: SharedArrays,
    tiny_spec: TrainSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, int]] = []

    def given(seed: int, epoch: int) -> torch.Tensor:
        asked.append((seed, epoch))
        logits = as_array(prepared.logits(seed).cached(epoch))
        logits.setflags(write=False)
        tensor = as_tensor(logits)
        assert isinstance(tensor, torch.Tensor)
        return tensor

    images, teacher = arrived.open(tiny_spec)
    assert (teacher.hash, teacher.accuracy) == (prepared.teacher_hash, prepared.teacher.accuracy)
    there = Prepared(tiny_spec, tmp_path / "nowhere", CPU, images, teacher, given)
    assert there.data_hash == prepared.data_hash
    job = TrialJob(uniform_settings(there.network_shape(), (2, 6, 3, 6, 3)), tiny_spec)
    here = StudentTraining(prepared, job).run_epoch()
    monkeypatch.setattr(TeacherLogits, "_compute", None)
    assert replace(StudentTraining(there, job).run_epoch(), epoch_s=here.epoch_s) == here
    assert asked == [(tiny_spec.seed, 0)]  # without augmentation all epochs are alike
    assert not (tmp_path / "nowhere").exists()


def test_logits_that_are_not_given_are_computed(
    prepared: Prepared, arrived: SharedArrays, tiny_spec: TrainSpec, tmp_path: Path
) -> None:
    images, teacher = arrived.open(tiny_spec)
    there = Prepared(tiny_spec, tmp_path, CPU, images, teacher, lambda seed, epoch: None)
    computed, cached = there.logits(0).epoch(1).stored, prepared.logits(0).epoch(1).stored
    assert torch.allclose(computed.float(), cached.float(), atol=1e-2)
    assert there.logits(0).path(1).is_file()


def test_nothing_is_copied_on_its_way_out(prepared: Prepared) -> None:
    shipment = SharedArrays.of(prepared.images, prepared.teacher, prepared.spec.model)
    assert np.shares_memory(shipment.images["pixels"], prepared.images.pixels.numpy())
    pixels = prepared.images.pixels
    assert sum(array.nbytes for array in shipment.arrays) > pixels.numel()


def test_a_node_with_other_libraries_is_refused(
    arrived: SharedArrays, tiny_spec: TrainSpec
) -> None:
    other = replace(arrived, versions={**arrived.versions, "torch": "1.0", "jax": "1"})
    with pytest.raises(DataError, match=r"has torch 2.* \(the driver has 1.0\), jax none"):
        other.open(tiny_spec)


def test_a_node_with_other_code_behind_the_network_is_refused(
    prepared: Prepared, tiny_spec: TrainSpec
) -> None:
    own = ModelSpec(name="tests.train.networks.test_models:linear_probe")
    shipment = SharedArrays.of(prepared.images, prepared.teacher, own)
    spec = tiny_spec.model_copy(update={"model": own})
    with pytest.raises(DataError, match=r"the code behind tests.*:linear_probe is not the driver"):
        replace(shipment, sources="another").open(spec)
    with pytest.raises(RuntimeError, match="Missing key"):  # the same code: its weights are read
        shipment.open(spec)

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.train.data import batches as batches_module
from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.batches import TrainingBatches, batch_bounds
from mlgsearch.train.data.images import Images

CPU = torch.device("cpu")


@given(st.integers(1, 300), st.integers(2, 64))
def test_bounds_cover_all_and_leave_no_sample_alone(count: int, size: int) -> None:
    bounds = batch_bounds(count, size)
    covered = [i for start, stop in bounds for i in range(start, stop)]
    assert covered == list(range(count))
    lengths = [stop - start for start, stop in bounds]
    assert max(lengths) <= size + 1
    assert min(lengths) >= min(2, count)


def test_inputs_are_normalised(images: Images) -> None:
    batches = TrainingBatches(images, Augmentation(0, flips=False), CPU)
    inputs = batches.inputs(torch.arange(batches.count))
    assert inputs.mean().item() == pytest.approx(0, abs=1e-4)
    assert inputs.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert torch.equal(batches.labels, images.labels[images.train])


def test_images_kept_ready_equal_those_made_on_the_way(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = torch.tensor([3, 0, 9])
    ready = TrainingBatches(images, Augmentation(0, flips=False), CPU).inputs(positions)
    monkeypatch.setattr(batches_module, "_READY_BYTES", 0)
    made = TrainingBatches(images, Augmentation(0, flips=False), CPU).inputs(positions)
    assert torch.equal(made, ready)


def test_an_epoch_decides_the_augmentation(images: Images) -> None:
    batches = TrainingBatches(images, Augmentation(2, flips=True), CPU)
    positions = torch.arange(20)

    def epoch(number: int) -> torch.Tensor:
        batches.start_epoch(0, number)
        return batches.inputs(positions)

    first = epoch(1)
    assert not torch.equal(epoch(2), first)
    assert torch.equal(epoch(1), first)
    assert torch.equal(batches.inputs(positions.flip(0)), first.flip(0))

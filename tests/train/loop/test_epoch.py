import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mlgsearch.errors import MlgsearchError
from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.batches import TrainingBatches
from mlgsearch.train.data.images import Images
from mlgsearch.train.loop.epoch import EpochTotals, TrainingDivergedError, train_epoch
from mlgsearch.train.loop.optim import build_optimiser, learning_rate
from mlgsearch.train.spec import OptimiserSpec

SPEC = OptimiserSpec(epochs=3, batch_size=32, learning_rate=0.05)


@pytest.fixture
def batches(images: Images) -> TrainingBatches:
    return TrainingBatches(images, Augmentation(0, flips=False), torch.device("cpu"))


def build() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10))


def run(network: nn.Module, batches: TrainingBatches, epoch: int) -> EpochTotals:
    def loss_of(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        assert torch.equal(batches.labels[positions], labels)
        return functional.cross_entropy(logits, labels)

    optimiser = build_optimiser(network, SPEC)
    return train_epoch(network, optimiser, batches, SPEC, loss_of, seed=1, epoch=epoch)


def test_an_epoch_repeats_whatever_was_drawn_before(batches: TrainingBatches) -> None:
    first, again = build(), build()
    totals = run(first, batches, 2)
    torch.rand(100)
    assert run(again, batches, 2) == totals
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )
    assert run(build(), batches, 1).loss != totals.loss


def test_it_learns_and_reports_the_last_rate(batches: TrainingBatches) -> None:
    network = build()
    first, last = run(network, batches, 1), run(network, batches, 1)
    assert last.loss < first.loss
    assert last.accuracy > first.accuracy
    steps = -(-batches.count // 32)
    assert first.learning_rate == learning_rate(SPEC, steps - 1, 3 * steps)


def test_a_loss_that_is_not_finite_reports_where(batches: TrainingBatches) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    calls: list[int] = []

    def loss_of(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        calls.append(len(positions))
        return logits.sum() * (float("inf") if len(calls) == 3 else 1.0)

    with pytest.raises(TrainingDivergedError, match="in epoch 2, step 3") as caught:
        train_epoch(
            network, build_optimiser(network, SPEC), batches, SPEC, loss_of, seed=1, epoch=2
        )
    assert (caught.value.epoch, caught.value.step) == (2, 3)
    assert isinstance(caught.value, MlgsearchError)


def test_bfloat16_runs_the_network_in_it_and_keeps_the_parameters(batches: TrainingBatches) -> None:
    seen: set[torch.dtype] = set()

    class Watched(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            output = super().forward(input)
            seen.add(output.dtype)
            return output

    def loss_of(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        assert logits.dtype == torch.float32
        return functional.cross_entropy(logits, labels)

    spec = SPEC.model_copy(update={"precision": "bfloat16"})
    network = nn.Sequential(nn.Flatten(), Watched(64, 10))
    optimiser = build_optimiser(network, spec)
    totals = [
        train_epoch(network, optimiser, batches, spec, loss_of, seed=1, epoch=epoch)
        for epoch in (1, 2)
    ]
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert totals[1].loss < totals[0].loss

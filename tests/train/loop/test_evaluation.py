import math

import pytest
import torch
from torch import nn

from mlgsearch.train.data.images import Images
from mlgsearch.train.loop import evaluation
from mlgsearch.train.loop.evaluation import HeldOutPart

CPU = torch.device("cpu")


class Constant(nn.Module):
    """Gives the same logits for every image, and notes how it was called."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)
        self.batches: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training
        self.batches.append(len(x))
        return self.logits.expand(len(x), -1)


def test_loss_and_accuracy_over_all_batches(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "_BATCH", 16)
    part = HeldOutPart(images, images.validation, CPU)
    network = Constant([0.0] * 9 + [1.0]).train()
    loss, accuracy = part.evaluate(network)
    nines = (images.labels[images.validation] == 9).double().mean().item()
    assert accuracy == pytest.approx(nines)
    assert loss == pytest.approx(math.log(9 + math.e) - nines, rel=1e-6)
    assert sum(network.batches) == len(images.validation)
    assert max(network.batches) == 16
    assert network.training


def test_nan_makes_the_loss_nan(images: Images) -> None:
    part = HeldOutPart(images, images.validation, CPU)
    loss, _ = part.evaluate(Constant([math.nan] * 10))
    assert math.isnan(loss)

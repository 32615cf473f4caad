import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from mlgsearch.train.data.images import Images, effective_samples
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


def test_a_balanced_accuracy_counts_every_class_alike(images: Images) -> None:
    labels = images.labels[images.validation]
    half_of_the_nines = (labels == 9).nonzero().flatten()
    uneven = torch.cat([(labels != 9).nonzero().flatten(), half_of_the_nines[:1]])
    index = images.validation[uneven]
    network = Constant([0.0] * 9 + [1.0])
    _, plain = HeldOutPart(images, index, CPU).evaluate(network)
    judged = replace(images, judge="balanced_accuracy")
    _, balanced = HeldOutPart(judged, index, CPU).evaluate(network)
    assert plain == pytest.approx(1 / len(index))
    assert balanced == pytest.approx(1 / 10)
    without = index[images.labels[index] != 0]
    _, of_nine = HeldOutPart(judged, without, CPU).evaluate(network)
    assert of_nine == pytest.approx(1 / 9)


def test_what_a_balanced_accuracy_is_worth_is_its_variance(images: Images) -> None:
    assert effective_samples(images, images.validation) == len(images.validation)
    counts = [40, 10]
    uneven = replace(
        images,
        labels=torch.tensor([0] * counts[0] + [1] * counts[1]),
        class_names=("a", "b"),
        judge="balanced_accuracy",
    )
    found = effective_samples(uneven, torch.arange(50))
    variance = sum(0.2 * 0.8 / count for count in counts) / 2**2  # of (a + b) / 2
    assert found == round(0.2 * 0.8 / variance) == 32

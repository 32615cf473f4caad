import pytest
import torch
from torch import nn

from mlgsearch.train.loop.average import add_to_average, adopt_average, first_averaged_step
from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.spec import OptimiserSpec


@pytest.mark.parametrize(
    ("average", "total", "first"), [(0.0, 10, 10), (0.2, 10, 8), (1.0, 10, 0), (0.2, 4, 4)]
)
def test_the_last_share_of_the_steps_counts(average: float, total: int, first: int) -> None:
    assert first_averaged_step(OptimiserSpec(average=average), total) == first


def test_the_mean_of_what_was_added_becomes_the_weights() -> None:
    layer = nn.Linear(3, 2)
    optimiser = build_optimiser(layer, OptimiserSpec())
    seen = []
    for step in range(5):
        with torch.no_grad():
            layer.weight.copy_(torch.full((2, 3), float(step * step)))
            layer.bias.add_(1.0)
        seen.append([p.detach().clone() for p in layer.parameters()])
        add_to_average(optimiser)
    assert adopt_average(optimiser)
    for at, parameter in enumerate(layer.parameters()):
        expected = torch.stack([values[at] for values in seen]).mean(0)
        torch.testing.assert_close(parameter.detach(), expected)
    assert not adopt_average(optimiser), "it is adopted once"

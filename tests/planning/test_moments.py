import torch
from torch import nn

from mlgsearch.planning.moments import layer_moments
from tests.planning.samples import batches, silent, trained


def test_the_moment_is_the_mean_product_of_input_channels() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 25, 5))
    images = torch.randn(20, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    found = layer_moments(network, [images[:12], images[12:]], seed=0, report=silent)
    vectors = images.double().movedim(1, -1).flatten(0, 2)  # (N*H*W, C)
    torch.testing.assert_close(
        found["0"].channels, (vectors.mT @ vectors / 500)[None], rtol=1e-5, atol=1e-6
    )
    flat = network[:2](images).detach().double()
    torch.testing.assert_close(
        found["2"].channels, (flat.mT @ flat / 20)[None], rtol=1e-5, atol=1e-6
    )


def test_groups_have_a_moment_each() -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 1, groups=2), nn.Flatten(), nn.Linear(6, 3))
    images = torch.randn(30, 4, 1, 1, generator=torch.Generator().manual_seed(1))
    channels = layer_moments(network, [images], seed=0, report=silent)["0"].channels
    flat = images[:, :, 0, 0].double()
    expected = torch.stack([flat[:, g].mT @ flat[:, g] / 30 for g in (slice(0, 2), slice(2, 4))])
    torch.testing.assert_close(channels, expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_is_that_of_the_loss_in_the_output() -> None:
    linear = nn.Linear(4, 3)
    images = torch.randn(50, 4, generator=torch.Generator().manual_seed(2))
    found = layer_moments(nn.Sequential(linear), [images], seed=5, report=silent)["0"].gradient
    chances = linear(images).softmax(1).detach()
    labels = torch.multinomial(chances, 1, generator=torch.Generator().manual_seed(5))
    # The gradient of cross-entropy in the logits is known.
    expected = (chances - torch.zeros(50, 3).scatter(1, labels, 1.0)).square().sum() / 50 / 3
    assert abs(found - float(expected)) < 1e-6


def test_it_leaves_the_network_as_it_was_and_repeats_itself() -> None:
    network = trained()
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    seen: list[tuple[int, int]] = []
    first = layer_moments(
        network, batches(), seed=0, report=lambda done, total, note: seen.append((done, total))
    )
    again = layer_moments(network, batches(), seed=0, report=silent)
    assert network.training
    network.eval()
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(torch.equal(first[n].channels, again[n].channels) for n in first)
    assert [m.gradient for m in first.values()] == [m.gradient for m in again.values()]
    assert all(m.gradient > 0 for m in first.values())


def test_a_layer_that_is_not_reached_has_the_identity() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(2, 2), nn.Linear(3, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.used(images)
            return out

    found = layer_moments(Half(), [torch.ones(4, 2)], seed=0, report=silent)["unused"]
    assert torch.equal(found.channels, torch.eye(3, dtype=torch.float64)[None])
    assert found.gradient == 0

import pytest
import torch
from torch import nn

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.train.loop.batch_norm import reestimate_batch_norm


def test_statistics_are_plain_averages_and_nothing_else_changes() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Dropout(0.9), nn.BatchNorm2d(3), nn.ReLU())
    network[1].eval()
    norm = network[2]
    assert isinstance(norm, nn.BatchNorm2d)
    weights = {name: p.clone() for name, p in network.named_parameters()}
    batches = [torch.randn(4, 2, 5, 5) for _ in range(3)]
    with torch.no_grad():
        seen = [network[0](batch) for batch in batches]
    reestimate_batch_norm(network, iter(batches))
    mean = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    variance = torch.stack([x.var((0, 2, 3)) for x in seen]).mean(0)
    assert torch.allclose(norm.running_mean, mean, atol=1e-5)  # type: ignore[arg-type]
    assert torch.allclose(norm.running_var, variance, atol=1e-5)  # type: ignore[arg-type]
    assert norm.momentum == 0.1
    assert [m.training for m in network] == [True, False, True, True]
    assert all(torch.equal(p, weights[name]) for name, p in network.named_parameters())


def test_input_quantisers_learn_their_range_too() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    compress(network, {"0": LayerSetting.plain(8)}, in_bits=2)
    quantiser = network[0].get_submodule("input_quantiser")
    batch = torch.randn(4, 2, 5, 5)
    reestimate_batch_norm(network, [batch])
    assert quantiser.training
    assert quantiser.get_buffer("low") == batch.amin()
    with torch.no_grad():
        seen = network[0].eval()(batch)  # of quantised inputs
    assert torch.allclose(network[1].get_buffer("running_mean"), seen.mean((0, 2, 3)), atol=1e-5)


def test_a_network_without_batch_norm_is_not_run() -> None:
    def fail() -> torch.Tensor:
        pytest.fail("no batch is needed")

    reestimate_batch_norm(nn.Linear(2, 2), (fail() for _ in range(1)))

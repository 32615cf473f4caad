import copy

import torch
from torch import nn

from mlgsearch.train.loop.flat import flatten_parameters


def test_parameters_become_views_and_keep_value_and_layout() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    network.to(memory_format=torch.channels_last)
    before = copy.deepcopy(network.state_dict())
    strides = [p.stride() for p in network.parameters()]
    flat = flatten_parameters(list(network.parameters()))
    assert [p.stride() for p in network.parameters()] == strides
    assert all(torch.equal(network.state_dict()[name], t) for name, t in before.items())
    assert all(p.data_ptr() % 64 == flat.data_ptr() % 64 for p in network.parameters())
    with torch.no_grad():
        flat.zero_()
    assert all((p == 0).all() for p in network.parameters())
    network.load_state_dict(before)
    assert flat.count_nonzero() == sum(int(p.count_nonzero()) for p in network.parameters())


def test_gradients_gather_in_one_tensor() -> None:
    network = nn.Linear(3, 2)
    flat = flatten_parameters(list(network.parameters()))
    network(torch.ones(1, 3)).sum().backward()
    assert flat.grad is not None
    assert flat.grad.sum().item() == 8.0
    flat.grad.zero_()
    assert network.weight.grad is not None
    assert network.weight.grad.abs().sum() == 0

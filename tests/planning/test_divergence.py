import pytest
import torch
from torch import Tensor, nn

from mlgsearch.planning.divergence import Divergence
from tests.planning.samples import batches, trained


def fc() -> Tensor:
    weight = trained().get_parameter("fc.weight")
    return weight.detach().clone()


def test_the_same_weight_moves_nothing_and_a_worse_one_moves_more() -> None:
    divergence = Divergence(trained(), batches(), 10)
    assert divergence.at("fc", fc()) == pytest.approx(0, abs=1e-6)
    noise = torch.randn(fc().shape, generator=torch.Generator().manual_seed(0))
    found = [divergence.at("fc", fc() + share * noise) for share in (0.1, 0.3, 1.0)]
    assert 0 < found[0] < found[1] < found[2]
    assert divergence.at("fc", fc()) == pytest.approx(0, abs=1e-6), "each time from the same start"


def test_it_is_the_loss_of_distillation() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))
    images = torch.randn(8, 1, 2, 2)
    other = torch.randn(3, 4)
    teacher = network(images).detach() / 4
    student = images.flatten(1) @ other.T / 4
    expected = (teacher.softmax(1) * (teacher.log_softmax(1) - student.log_softmax(1))).sum(1)
    found = Divergence(network, [images[:4], images[4:]], 1).at("1", other)
    assert found == pytest.approx(16 * float(expected.mean()), rel=1e-4)


def test_the_network_is_left_as_it_was() -> None:
    before = {name: value.clone() for name, value in trained().state_dict().items()}
    Divergence(trained(), batches(), 1).at("fc", torch.zeros_like(fc()))
    after = trained().state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not trained().training


def test_a_deep_network_is_measured_on_fewer_images() -> None:
    few, all_of_them = (Divergence(trained(), batches(), n) for n in (10_000, 1))
    assert len(few._batches) == 1
    assert len(all_of_them._batches) == len(batches())

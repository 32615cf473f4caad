"""Plans of every kind of layer."""

import pytest
import torch

from mlgsearch.mlg.network import network_shape
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.layer.grid import Ranges
from mlgsearch.planning.network_tables import Tables, build_tables
from tests.mlg.kind_networks import IMAGE, KIND_NETWORKS, kind_network


@pytest.mark.parametrize("kind", KIND_NETWORKS)
def test_a_plan_is_made_and_leaves_the_network_alone(kind: str) -> None:
    network = kind_network(kind).eval().requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = torch.randn(8, *IMAGE, generator=torch.Generator().manual_seed(0))
    shape = network_shape(network, IMAGE)
    tables = build_tables(
        network,
        shape,
        [images],
        Ranges((1, 3), (1, 6), (2, 4), (2, 4), (2, 4)),
        fixed={"head": LayerSetting.plain(8)},
        method="dorefa",
        refine_steps=1,
        check=4,
        seed=0,
        report=lambda *_: None,
        measures=True,
    )
    for name, table in tables.layers.items():
        assert table.energy > 0
        assert table.gradient > 0, name
        assert name == "head" or len(table.settings) > 1
        assert (table.damage >= 0).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert Tables.unpack(*tables.pack()).shape == shape

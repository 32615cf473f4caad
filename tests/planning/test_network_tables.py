import json

import numpy as np
import torch

from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.network_tables import Tables
from tests.planning.samples import a_build, measured_tables, shape, tables, trained


def test_every_layer_has_its_list() -> None:
    found = tables()
    assert list(found.layers) == list(shape().layers)
    assert all(len(table) > 1 for table in found.layers.values())
    assert all(table.energy > 0 and table.gradient > 0 for table in found.layers.values())


def test_divergence_never_grows_with_bits() -> None:
    for name, table in measured_tables().layers.items():
        assert (np.diff(table.divergence) <= 0).all(), name
        assert table.divergence[0] > 0
        assert table.divergence[-1] < table.divergence[0]
        assert not tables().layers[name].divergence.any()


def test_a_head_of_few_ranks_moves_answers_more_than_a_late_branch() -> None:
    layers = measured_tables().layers
    assert layers["fc"].divergence[0] > layers["layer3.0.conv2"].divergence[0]


def test_divergences_come_back_from_what_is_stored() -> None:
    again = Tables.unpack(*measured_tables().pack())
    for name, table in measured_tables().layers.items():
        np.testing.assert_array_equal(again.layers[name].divergence, table.divergence)


def test_they_come_back_from_what_is_stored() -> None:
    tensors, metadata = tables().pack()
    again = Tables.unpack(tensors, json.loads(json.dumps(metadata, sort_keys=True)))
    assert again.shape == tables().shape
    assert list(again.layers) == list(again.shape.layers) == list(tables().layers)
    assert again.norm_damage == tables().norm_damage
    for name, table in tables().layers.items():
        np.testing.assert_array_equal(again.layers[name].settings, table.settings)
        np.testing.assert_array_equal(again.layers[name].bits, table.bits)
        np.testing.assert_array_equal(again.layers[name].damage, table.damage)
        assert again.layers[name].energy == table.energy
        assert again.layers[name].rank_correlation == table.rank_correlation


def test_batch_norm_loses_almost_nothing_at_16_bits() -> None:
    assert tables().norm_damage[32] == 0
    assert 0 < tables().norm_damage[16] < 1e-6


def test_the_teacher_is_left_as_it_was() -> None:
    before = {name: value.clone() for name, value in trained().state_dict().items()}
    a_build(fixed=dict.fromkeys(shape().layers, LayerSetting.plain(8)))
    after = trained().state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(p.requires_grad for p in trained().parameters())


def test_layers_may_be_fixed_and_others_checked() -> None:
    fixed = {name: LayerSetting.plain(8) for name in shape().layers if name != "layer3.0.conv2"}
    found = a_build(fixed=fixed, check=6).layers
    assert [len(found[name]) for name in fixed] == [1] * len(fixed)
    assert {found[name].setting(0) for name in fixed} == {LayerSetting.plain(8)}
    assert found["layer3.0.conv2"].checked == 6
    assert found["layer3.0.conv2"].rank_correlation is not None
    assert tables().layers["layer3.0.conv2"].rank_correlation is None

import pytest
import torch

from mlgsearch.mlg.factoring.factors import Factors
from mlgsearch.mlg.factoring.projection import decompose
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.layer.metric import InputMetric
from mlgsearch.planning.layer.truncation import Rows

SHAPES = [
    LayerShape("conv", 8, 6, (3, 3)),
    LayerShape("conv", 20, 2, (3, 3)),  # more rows than columns, fewer channels than positions
    LayerShape("linear", 7, 12),
]


def a_layer(shape: LayerShape) -> tuple[torch.Tensor, InputMetric]:
    draw = torch.Generator().manual_seed(shape.c_out)
    vectors = torch.randn(shape.c_in, 50, generator=draw, dtype=torch.float64)
    weight = torch.randn(shape.weight_shape, generator=draw, dtype=torch.float64)
    return weight, InputMetric((vectors @ vectors.mT / 50)[None], shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cumulative_sums_are_the_errors_of_every_truncation(shape: LayerShape) -> None:
    weight, metric = a_layer(shape)
    rows = {
        True: Rows.of_basis(weight, metric, shape),
        False: Rows.of_weight(weight, metric, shape),
    }
    kept = {has: found.kept(found.energy) for has, found in rows.items()}
    for base_in in range(shape.level1_bound or 1):
        for base_out in range(shape.level2_bound):
            # 32 bits never cost less than the plain weight at the largest bases: not canonical,
            # but decompose does not ask.
            setting = LayerSetting(base_in, base_out, 32, 32, 32)
            factors = decompose(weight, setting, shape)
            if setting.is_plain:
                continue
            found = Factors(setting, **factors).weight(shape.weight_shape)
            has = base_out > 0
            at = (base_out or shape.c_out) - 1, (base_in or shape.kernel_area) - 1
            predicted = metric.energy(weight) - float(kept[has][at])
            measured = metric.energy(weight - found)
            assert predicted == pytest.approx(measured, abs=1e-9 * metric.energy(weight)), setting


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_rows_and_directions_are_the_weight(shape: LayerShape) -> None:
    weight, metric = a_layer(shape)
    for rows in (Rows.of_basis(weight, metric, shape), Rows.of_weight(weight, metric, shape)):
        assert float(rows.energy.sum()) == pytest.approx(metric.energy(weight))
        assert float(rows.square.sum()) == pytest.approx(float(weight.square().sum()))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_setting_is_truncated_as_projection_does(shape: LayerShape) -> None:
    weight, metric = a_layer(shape)
    of_basis, of_weight = (
        Rows.of_basis(weight, metric, shape),
        Rows.of_weight(weight, metric, shape),
    )
    settings = [LayerSetting(0, 2, 8, 0, 8)]
    if shape.level1_bound:
        settings += [LayerSetting(1, 0, 8, 8, 0), LayerSetting(1, 3, 8, 8, 8)]
    for setting in settings:
        rows = of_basis if setting.base_out else of_weight
        found, expected = rows.truncated(setting), decompose(weight, setting, shape)
        assert {n: t.shape for n, t in found.items()} == {n: t.shape for n, t in expected.items()}
        # Eigenvectors have a sign of their own; the weight has not.
        torch.testing.assert_close(
            Factors(setting, **found).weight(shape.weight_shape),
            Factors(setting, **expected).weight(shape.weight_shape),
        )

import numpy as np
import pytest
import torch

from mlgsearch.mlg.quantise import Method
from mlgsearch.planning.layer.noise import NoiseSurface, relative_noise

NORMAL = torch.randn(50_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("method", ["dorefa", "lsq"])
def test_a_bit_more_is_less_noise(method: Method) -> None:
    noise = [relative_noise(NORMAL, bits, method) for bits in (1, 2, 3, 4, 5, 6, 7, 8, 32)]
    assert noise == sorted(noise, reverse=True)
    assert noise[0] == pytest.approx(1 - 2 / np.pi, abs=0.02)  # sign times mean, of normal entries
    assert noise[-1] == 0


def test_nothing_has_no_noise() -> None:
    assert relative_noise(torch.zeros(10), 3, "dorefa") == 0


def test_a_surface_meets_what_is_measured_and_lies_between() -> None:
    scale = torch.linspace(1, 0.01, 30)[:, None, None]  # later rows are weaker
    entries = torch.randn(30, 40, 6, generator=torch.Generator().manual_seed(1)) * scale
    surface = NoiseSurface(lambda r, d: entries[:r, :, :d], 30, 6, [2, 4, 32], "dorefa")
    rows, bits = np.array([1, 1, 30, 30, 30, 1]), np.array([2, 4, 2, 4, 32, 32])
    directions = np.array([1, 6, 1, 6, 6, 1])
    expected = [
        relative_noise(entries[:r, :, :d], q, "dorefa")
        for r, d, q in zip(rows, directions, bits, strict=True)
    ]
    np.testing.assert_allclose(surface(rows, directions, bits), expected, rtol=1e-9)
    between = surface(np.arange(1, 31), np.full(30, 6), np.full(30, 4))
    measured = [relative_noise(entries[:r], 4, "dorefa") for r in range(1, 31)]
    np.testing.assert_allclose(between, measured, rtol=0.35)


def test_one_base_is_enough_for_a_surface() -> None:
    surface = NoiseSurface(lambda r, d: NORMAL, 1, 1, [3], "lsq")
    one = np.array([1])
    assert surface(one, one, np.array([3]))[0] == pytest.approx(relative_noise(NORMAL, 3, "lsq"))

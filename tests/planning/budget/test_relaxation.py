from itertools import product

import numpy as np
import pytest

from mlgsearch.planning.budget.relaxation import least_within


def some_uses(seed: int, scales: tuple[float, ...]) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shapes = {"a": 4, "b": 1, "c": 5, "d": 3}
    return {name: generator.random((n, len(scales))) * scales for name, n in shapes.items()}


def smallest(uses: dict[str, np.ndarray], most: np.ndarray, which: int) -> float | None:
    """Return the least over all choices of one option per layer."""
    sums = np.array([sum(rows) for rows in product(*uses.values())])
    others = np.delete(np.arange(len(most)), which)
    kept = (sums[:, others] <= most[others]).all(1)
    return float(sums[kept, which].min()) if kept.any() else None


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("which", [0, 1, 2])
def test_no_choice_of_options_uses_less(seed: int, which: int) -> None:
    uses = some_uses(seed, (1.0, 3e8, 1e-4))
    sums = np.array([sum(rows) for rows in product(*uses.values())])
    for share in (0.05, 0.2, 0.6):
        most = np.quantile(sums, share, axis=0)
        exact, found = smallest(uses, most, which), least_within(uses, most, which)
        if found is None:
            assert exact is None
            continue
        assert sum(found.by_layer.values()) == pytest.approx(found.least)
        assert found.least <= (np.inf if exact is None else exact) * (1 + 1e-9)
        # Two layers at most are mixed, one for each of the other limits.
        assert exact is None or exact <= found.least + 2 * max(
            np.ptp(options[:, which]) for options in uses.values()
        )


def test_alone_it_is_the_sum_of_the_least() -> None:
    uses = some_uses(0, (1.0,))
    found = least_within(uses, np.array([0.1]), 0)
    assert found is not None
    assert found.by_layer == pytest.approx({name: rows.min() for name, rows in uses.items()})

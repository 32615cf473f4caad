"""The scan over a uniform study's bases."""

import numpy as np
import pytest

from mlgsearch.records import FiveNumbers, TrialState
from mlgsearch.results.analysis.grid_scan import grid_scan, uniform_bases
from tests.results.analysis.test_trial_columns import columns_of
from tests.results.samples import a_complete, a_trial


def layers(base_in: int, base_out: int) -> dict[str, FiveNumbers]:
    """A stem that cannot hold level 1, a 3x3 layer, a 1x1 layer by the paper's rule, a head."""
    return {
        "stem": (0, min(base_out, 16), 8, 0, 8),
        "conv": (base_in, base_out, 3, 6, 3),
        "shortcut": (0, min(base_out, 28), 3, 0, 3),
        "head": (0, 0, 8, 0, 0),
    }


def test_means_of_what_was_tried() -> None:
    trials = [
        a_complete(0, 0.8, 0.10),
        a_complete(1, 0.9, 0.20),
        a_complete(2, 0.7, 0.05),
        a_trial(3, state=TrialState.PRUNED, accuracy=0.1),
        a_complete(4, 0.1, 0.01),  # whose settings were not asked for
    ]
    settings = {0: layers(2, 44), 1: layers(2, 44), 2: layers(1, 20), 3: layers(1, 44)}
    scan = grid_scan(columns_of(trials), settings)
    assert scan.base_in.tolist() == [1, 2]
    assert scan.base_out.tolist() == [20, 44]
    assert scan.trials.tolist() == [[1, 0], [0, 2]]
    assert np.diag(scan.accuracy) == pytest.approx([0.7, 0.85])
    assert np.diag(scan.memory_ratio) == pytest.approx([0.05, 0.15])
    assert np.isnan(scan.accuracy[0, 1])
    assert np.isnan(scan.memory_ratio[1, 0])


def test_nothing_complete_gives_an_empty_grid() -> None:
    scan = grid_scan(columns_of([a_trial(0)]), {0: layers(2, 44)})
    assert scan.accuracy.shape == (0, 0)


def test_bases_are_read_off_the_layers_that_hold_them() -> None:
    assert uniform_bases(layers(3, 30)) == (3, 30)
    assert uniform_bases({"head": (0, 0, 8, 0, 0)}) == (0, 0)
    assert uniform_bases({}) == (0, 0)

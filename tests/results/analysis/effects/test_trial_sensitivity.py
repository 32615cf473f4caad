from dataclasses import replace

import numpy as np
import pytest

from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.results.analysis.effects.trial_sensitivity import LEAST_TRIALS, layer_costs
from tests.results.samples import a_complete, a_trial

COSTS = {"conv1": 0.3, "conv2": 0.0, "fc": 0.05}


def a_study(count: int, noise: float = 0.0) -> list[TrialRecord]:
    """Trials whose accuracy is 0.9 less what each layer's squared error costs."""
    draw = np.random.default_rng(0)
    trials = []
    for number in range(count):
        errors = {name: float(draw.uniform(0.1, 0.9)) for name in COSTS}
        lost = sum(COSTS[name] * error**2 for name, error in errors.items())
        accuracy = 0.9 - lost + noise * float(draw.normal())
        trials.append(replace(a_complete(number, accuracy, 0.1), projection_error=errors))
    return trials


def test_costs_are_found() -> None:
    found = layer_costs(a_study(40))
    assert list(found) == list(COSTS)
    for name, cost in COSTS.items():
        assert found[name].cost == pytest.approx(cost, abs=0.01)
        assert 0 < found[name].loss < 1


def test_errors_say_how_far_off_they_are() -> None:
    found = layer_costs(a_study(60, noise=0.02))
    assert all(abs(found[n].cost - cost) < 3 * found[n].error for n, cost in COSTS.items())
    assert layer_costs(a_study(60, noise=0.04))["fc"].error > found["fc"].error


def test_what_shares_or_lacks_a_result_does_not_count() -> None:
    trials = a_study(LEAST_TRIALS)
    more = [
        replace(trials[0], number=90, reused_from=0, accuracy=0.0),
        replace(trials[1], number=91, state=TrialState.PRUNED, accuracy=0.0),
        a_trial(92),
    ]
    assert layer_costs([*trials, *more]) == layer_costs(trials)


def test_few_trials_say_nothing() -> None:
    assert layer_costs(a_study(LEAST_TRIALS - 1)) == {}
    assert layer_costs([]) == {}


def test_a_layer_that_never_varied_costs_nothing() -> None:
    same = [replace(t, projection_error={**t.projection_error, "fc": 0.5}) for t in a_study(20)]
    assert layer_costs(same)["fc"].cost == pytest.approx(0, abs=1e-9)
    alike = [replace(t, projection_error={"fc": 0.5}) for t in a_study(20)]
    assert layer_costs(alike)["fc"].cost == 0


def test_more_layers_than_trials_are_kept_small() -> None:
    draw = np.random.default_rng(1)
    trials = [
        replace(t, projection_error={f"l{i}": float(draw.uniform(0, 1)) for i in range(40)})
        for t in a_study(10)
    ]
    assert max(abs(cost.cost) for cost in layer_costs(trials).values()) < 0.3

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from mlgsearch.errors import StudyFileError
from mlgsearch.study.search.limited_sampler import LimitedSampler, Parameters
from mlgsearch.study.search.sampler import make_sampler

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0, 1),
    "y": FloatDistribution(0, 1),
    "only": IntDistribution(3, 3),
}


def below_the_diagonal(parameters: Parameters) -> Parameters | None:
    assert parameters["only"] == 3
    return parameters if parameters["x"] + parameters["y"] < 0.5 else None


def search(name: str, trials: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for number in range(trials):
        inner = make_sampler(name, study_seed=1, number=number, space=SPACE)
        study.sampler = LimitedSampler(inner, SPACE, below_the_diagonal)
        trial = study.ask(SPACE)
        study.tell(trial, [trial.params["x"], trial.params["y"]])
    return study


@pytest.mark.parametrize("name", ["tpe", "nsga2", "nsga3", "random"])
def test_every_sampler_keeps_the_limits_and_repeats_itself(name: str) -> None:
    found = [trial.params for trial in search(name, 25).trials]
    assert all(p["x"] + p["y"] < 0.5 and p["only"] == 3 for p in found)
    assert len({(p["x"], p["y"]) for p in found}) == 25
    assert found == [trial.params for trial in search(name, 25).trials]


def test_where_nothing_is_allowed_it_says_so() -> None:
    study = optuna.create_study()
    inner = make_sampler("random", study_seed=1, number=0, space=SPACE)
    study.sampler = LimitedSampler(inner, SPACE, lambda parameters: None)
    with pytest.raises(StudyFileError, match=r"none of 1,000 proposals keeps them; narrow"):
        study.ask(SPACE)


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_what_is_drawn_beside_fixed_parameters_keeps_the_limits_with_them(name: str) -> None:
    study = search(name, 12)
    for number in range(12, 20):
        study.sampler = LimitedSampler(
            make_sampler(name, study_seed=1, number=number, space=SPACE), SPACE, below_the_diagonal
        )
        study.enqueue_trial({"x": 0.4})
        trial = study.ask(SPACE)
        assert trial.params["x"] == 0.4
        assert trial.params["y"] < 0.1
        study.tell(trial, [trial.params["x"], trial.params["y"]])

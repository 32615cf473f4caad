import cProfile
import sys
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage

from mlgsearch.errors import UserError
from mlgsearch.study.search import sampler
from mlgsearch.study.search.better_trials import BetterTrials
from mlgsearch.study.search.sampler import make_sampler, proposal_seed
from mlgsearch.study.space.space import Space
from tests.study.samples import MIXED, a_spec

NAMES = ("tpe", "nsga2", "nsga3", "random", "qmc")
SPACE = Space(
    a_spec(
        space={
            "kind": "uniform",
            "hyperparameters": {
                "training.optimiser": {"choices": ["radam", "sgd"]},
                "training.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
                "distillation.weight": {"choices": [0.5]},
            },
        }
    ),
    MIXED,
).distributions


def propose(name: str, known: int, *, number: int, seed: int = 0) -> dict[str, Any]:
    """Return a sampler's proposal after ``known`` trials that are always the same."""
    study = optuna.create_study(storage=InMemoryStorage(), directions=["maximize", "minimize"])
    study.sampler = RandomSampler(seed=0)
    for i in range(known):
        trial = study.ask(dict(SPACE))
        study.tell(trial, [((i * 7) % 11) / 11, -((i * 5) % 13) / 13])
    study.sampler = make_sampler(name, study_seed=seed, number=number, space=dict(SPACE))
    return study.ask(dict(SPACE)).params


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("known", [0, 14, 55])
def test_the_same_seed_and_history_give_the_same_proposal(name: str, known: int) -> None:
    first = propose(name, known, number=known)
    assert first == propose(name, known, number=known)
    assert first.keys() == SPACE.keys()
    assert first["distillation.weight"] == 0.5


@pytest.mark.parametrize("name", ["tpe", "nsga2", "nsga3", "random"])
@pytest.mark.parametrize("known", [0, 14, 55])
def test_another_trial_or_another_study_seed_gives_another_proposal(name: str, known: int) -> None:
    first = propose(name, known, number=known)
    assert propose(name, known, number=known + 1) != first
    assert propose(name, known, number=known, seed=1) != first


def test_tpe_learns_from_the_history_and_random_does_not() -> None:
    assert propose("tpe", 14, number=20) != propose("tpe", 20, number=20)
    assert propose("random", 14, number=20) == propose("random", 15, number=20)


def own_tpe() -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TPESampler(seed=proposal_seed(0, 9), multivariate=True)


@pytest.mark.parametrize("known", [0, 14, 200])
def test_tpe_is_optunas_own_until_there_are_many_trials(
    known: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = propose("tpe", known, number=9)
    monkeypatch.setitem(globals(), "make_sampler", lambda *_, **__: own_tpe())
    assert propose("tpe", known, number=9) == ours


def test_tpe_takes_no_more_trials_into_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[bool, list[int]]] = []
    build = TPESampler._build_parzen_estimator

    def spy(self: Any, study: Any, space: Any, trials: Any, handle_below: bool) -> Any:
        seen.append((handle_below, [trial.number for trial in trials]))
        return build(self, study, space, trials, handle_below)

    monkeypatch.setattr(TPESampler, "_build_parzen_estimator", spy)
    monkeypatch.setattr(sampler, "MOST_BETTER", 7)
    monkeypatch.setattr(sampler, "MOST_WORSE", 30)
    propose("tpe", 100, number=100)
    (_, better), (_, worse) = sorted(seen, reverse=True)
    assert len(better) == 7
    assert len(set(worse)) == 30
    assert not set(better) & set(worse)
    assert worse == sorted(worse)
    assert min(worse) < 10
    assert max(worse) > 90


def test_proposal_seeds_are_32_bits_and_all_different() -> None:
    seeds = {proposal_seed(study, number) for study in range(20) for number in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert proposal_seed(0, 0) == proposal_seed(0, 0)


MODULE = """
import optuna

class Makers:
    pass

def random(seed):
    return optuna.samplers.RandomSampler(seed=seed)

def nothing(seed):
    return None

def raises(seed):
    raise ValueError("no such thing")

def without_a_seed():
    return optuna.samplers.RandomSampler()

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "samplers_of_a_user.py").write_text(MODULE)
    (tmp_path / "broken_module.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "samplers_of_a_user", raising=False)
    return "samplers_of_a_user"


def make(name: str) -> BaseSampler:
    return make_sampler(name, study_seed=0, number=0, space=dict(SPACE))


def test_a_users_sampler_is_found(module: str) -> None:
    assert isinstance(make(f"{module}:random"), RandomSampler)
    assert propose(f"{module}:random", 3, number=3) == propose("random", 3, number=3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:random", "search.sampler: no_such_module:random: cannot import"),
        ("samplers_of_a_user:rnd", "has no callable 'rnd', did you mean random?"),
        ("samplers_of_a_user:number", "samplers_of_a_user has no callable 'number'"),
        ("samplers_of_a_user:nothing", "gave None, not an Optuna sampler"),
        ("samplers_of_a_user:without_a_seed", "unexpected keyword argument 'seed'"),
        ("samplers_of_a_user:raises", "samplers_of_a_user:raises: ValueError: no such thing ("),
        ("broken_module:f", "broken_module:f: cannot import 'broken_module': SyntaxError: invalid"),
    ],
)
def test_a_users_sampler_that_is_of_no_use_is_refused(module: str, name: str, said: str) -> None:
    with pytest.raises(UserError, match=r"^search\.sampler: ") as caught:
        make(name)
    assert said in str(caught.value)


def test_tpe_does_as_much_for_a_proposal_after_2000_trials_as_after_400() -> None:
    study = optuna.create_study(storage=InMemoryStorage(), directions=["maximize", "minimize"])
    study.sampler = RandomSampler(seed=0)
    known = BetterTrials(study.directions)

    def calls(number: int) -> int:
        """Count the functions, C's too, that are called for a proposal."""
        for n in range(len(study.get_trials(deepcopy=False)), number):
            study.ask(dict(SPACE))
            study.tell(n, [((n * 7) % 110) / 110, -((n * 5) % 130) / 130])
            known.put(study._storage.get_trial(n))
        made = make_sampler("tpe", study_seed=0, number=number, space=dict(SPACE), better=known)
        trial = study.get_trials(deepcopy=False)[-1]
        space = made.infer_relative_search_space(study, trial)
        profile = cProfile.Profile()
        profile.runcall(made.sample_relative, study, trial, space)
        return sum(entry.callcount for entry in profile.getstats())

    assert calls(2_000) < 1.1 * calls(400)

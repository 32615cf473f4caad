from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, event, text

from mlgsearch.errors import StudyConflictError
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.study.search.optuna_storage import directions, metric_names, open_optuna_storage
from mlgsearch.study.search.optuna_trials import OptunaTrials
from mlgsearch.study.search.sampler import make_sampler
from mlgsearch.study.space.space import Space
from tests.study.driverless import be_quick, empty_database
from tests.study.samples import MIXED, a_spec

OBJECTIVES = ("accuracy", "memory_ratio")
SPACE = Space(
    a_spec(
        space={
            "kind": "uniform",
            "hyperparameters": {"training.optimiser": {"choices": ["radam", "sgd"]}},
        }
    ),
    MIXED,
).distributions


@pytest.fixture
def url(tmp_path: Path) -> str:
    (tmp_path / "a.db").write_bytes(empty_database())
    return f"sqlite:///{tmp_path}/a.db"


class Opener:
    """Opens histories as drivers would, one after another; closes their connections."""

    def __init__(self) -> None:
        self.storages: list[optuna.storages.RDBStorage] = []
        self.engines: list[Engine] = []

    def __call__(self, url: str, name: str = "digits") -> OptunaTrials:
        engine = open_engine(url)
        storage = open_optuna_storage(engine)
        be_quick(storage.engine)
        self.engines.append(engine)
        self.storages.append(storage)
        return OptunaTrials(storage, name, directions(OBJECTIVES), metric_names(OBJECTIVES))

    def close(self) -> None:
        for storage in self.storages:
            storage.remove_session()
            storage.engine.dispose()
        for engine in self.engines:
            engine.dispose()


@pytest.fixture
def opened() -> Iterator[Opener]:
    opener = Opener()
    yield opener
    opener.close()


def ask(trials: OptunaTrials, sampler: str = "random", **options: Any) -> FrozenTrial:
    made = make_sampler(sampler, study_seed=5, number=len(trials), space=dict(SPACE))
    return trials.ask(made, SPACE, **options)


def result(number: int) -> list[float]:
    return [((number * 7) % 11) / 11, -((number * 5) % 13) / 13]


def tell(trials: OptunaTrials, number: int) -> None:
    state = TrialState.FAIL if number % 9 == 4 else TrialState.COMPLETE
    trials.tell(number, state, None if state == TrialState.FAIL else result(number))


def as_seen(trials: list[FrozenTrial]) -> list[tuple[Any, ...]]:
    return [(t.number, t.state, t.params, t.distributions, t.values) for t in trials]


def stored(url: str) -> optuna.Study:
    return optuna.load_study(study_name="digits", storage=url)


def run(
    url: str, sampler: str, total: int, open_it: Callable[[str], OptunaTrials], *, every: int
) -> list[dict[str, Any]]:
    """Run a study whose results come one trial late, with a new driver every few trials."""
    trials = open_it(url)
    for number in range(total):
        if number and number % every == 0:
            trials = open_it(url)
        ask(trials, sampler)
        if number:
            tell(trials, number - 1)
    return [trial.params for trial in trials.trials()]


@pytest.mark.parametrize(
    ("sampler", "total"), [("tpe", 16), ("qmc", 8), ("random", 4), ("nsga2", 54), ("nsga3", 6)]
)
def test_a_study_of_many_drivers_goes_the_way_of_the_undisturbed_one(
    sampler: str, total: int, tmp_path: Path, opened: Opener
) -> None:
    once = run(f"sqlite:///{tmp_path}/once.db", sampler, total, opened, every=total)
    often = run(f"sqlite:///{tmp_path}/often.db", sampler, total, opened, every=total // 4)
    assert often == once
    assert len({str(params) for params in once}) > total // 2


def test_a_reload_gives_the_same_trials(url: str, opened: Opener) -> None:
    trials = opened(url)
    for number in range(8):
        ask(trials, "tpe")
        if number not in (2, 5):
            tell(trials, number)
    trials.queue(5)
    again = opened(url)
    assert len(again) == 8
    assert as_seen(again.trials()) == as_seen(trials.trials())
    # Both the trial that was running and the one that was queued are there to be adopted, and
    # Optuna does not hand either out by itself.
    unfinished = [t.number for t in again.trials() if not t.state.is_finished()]
    assert unfinished == [2, 5]
    assert ask(again).number == 8


def test_a_finished_trial_shares_what_is_the_same_in_all(url: str, opened: Opener) -> None:
    trials = opened(url)
    for number in range(12):  # TPE proposes from the eleventh on
        ask(trials, "tpe")
        tell(trials, number)
    for known in (trials, opened(url)):
        first, *others = known.trials()
        for other in others:
            assert other.distributions is first.distributions
            assert all(a is b for a, b in zip(other.params, first.params, strict=True))
            assert other.system_attrs == {}


def test_a_proposal_is_one_transaction(url: str, opened: Opener) -> None:
    trials = opened(url)
    ask(trials)
    commits: list[str] = []
    event.listen(opened.storages[0].engine, "commit", lambda connection: commits.append("commit"))
    ask(trials)
    assert len(commits) == 1


def test_fixed_values_are_kept_and_the_rest_is_sampled(url: str, opened: Opener) -> None:
    trials = opened(url)
    fixed = {"B_in": 2, "B_out": 44, "q_basis": 3}
    trial = ask(trials, "tpe", fixed=fixed)
    assert trial.params.items() >= fixed.items()
    assert trial.params.keys() == SPACE.keys()
    assert stored(url).trials[0].params == trial.params


def test_optunas_own_tools_see_the_same_study(url: str, opened: Opener) -> None:
    trials = opened(url)
    for number in range(6):
        ask(trials, "tpe")
        if number != 5:
            tell(trials, number)
    study = stored(url)
    assert as_seen(study.trials) == as_seen(trials.trials())
    assert study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    assert study.metric_names == ["accuracy", "log10_memory_ratio"]
    best = {t.number for t in study.best_trials}
    assert best == {t.number for t in trials._memory.best_trials}


def test_telling_twice_is_harmless(url: str, opened: Opener) -> None:
    trials = opened(url)
    ask(trials)
    trials.tell(0, TrialState.COMPLETE, [0.5, -1.0])
    trials.tell(0, TrialState.COMPLETE, [0.6, -2.0])
    trials.tell(0, TrialState.FAIL)
    assert stored(url).trials[0].values == trials.trials()[0].values == [0.5, -1.0]
    assert stored(url).trials[0].state == TrialState.COMPLETE


def test_a_tell_after_a_crash_between_the_two_storages_is_made_up_for(
    url: str, opened: Opener
) -> None:
    trials = opened(url)
    ask(trials)
    opened.storages[0].set_trial_state_values(trials._row_ids[0], TrialState.COMPLETE, [0.5, -1.0])
    trials.tell(0, TrialState.COMPLETE, [0.5, -1.0])
    assert trials.trials()[0].values == [0.5, -1.0]


def test_queue_and_start_move_the_stored_state_only(url: str, opened: Opener) -> None:
    trials = opened(url)
    ask(trials)
    trials.queue(0)
    assert stored(url).trials[0].state == TrialState.WAITING
    assert trials.trials()[0].state == TrialState.RUNNING
    trials.start(0)
    assert stored(url).trials[0].state == TrialState.RUNNING
    trials.start(0)
    tell(trials, 0)
    assert stored(url).trials[0].state == TrialState.COMPLETE


def test_a_note_is_an_attribute_for_optunas_tools(url: str, opened: Opener) -> None:
    trials = opened(url)
    ask(trials)
    trials.set_note(0, "reused_from", 3)
    assert stored(url).trials[0].user_attrs == {"mlgsearch:reused_from": 3}


def test_another_writer_is_noticed_at_the_next_proposal(url: str, opened: Opener) -> None:
    trials = opened(url)
    ask(trials)
    stored(url).enqueue_trial({"B_in": 1})
    with pytest.raises(StudyConflictError, match="numbered a trial 2 where 1 was next"):
        ask(trials)
    # Once that has stopped, the next driver finds every trial and goes on behind them.
    again = opened(url)
    assert len(again) == 3
    assert ask(again).number == 3


def test_studies_in_one_database_do_not_mix(url: str, opened: Opener) -> None:
    one, two = opened(url, "digits"), opened(url, "other")
    ask(one)
    ask(one)
    assert ask(two).number == 0
    assert (len(one), len(two)) == (2, 1)


def test_a_foreign_study_with_other_directions_is_refused(url: str, opened: Opener) -> None:
    optuna.create_study(study_name="digits", storage=url, direction="minimize")
    with pytest.raises(StudyConflictError, match=r"directions \['MINIMIZE'\]"):
        opened(url)


@pytest.mark.parametrize(
    ("objectives", "names"),
    [
        (("accuracy", "memory_ratio"), ["accuracy", "log10_memory_ratio"]),
        (("loss", "generation_macs"), ["loss", "log10_generation_macs"]),
    ],
)
def test_objectives_have_their_directions_and_names(
    objectives: tuple[str, ...], names: list[str]
) -> None:
    assert metric_names(objectives) == names
    expected = StudyDirection.MAXIMIZE if "accuracy" in objectives else StudyDirection.MINIMIZE
    assert directions(objectives) == [expected, StudyDirection.MINIMIZE]


def test_foreign_keys_are_enforced_and_braces_in_a_url_are_no_template(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/{{a}}.db")
    storage = open_optuna_storage(engine)
    with storage.engine.connect() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 60_000
    storage.engine.dispose()
    engine.dispose()
    assert (tmp_path / "{a}.db").is_file()


def test_distributions_read_back_with_their_scale(url: str, opened: Opener) -> None:
    ask(opened(url))
    assert stored(url).trials[0].distributions["B_out"] == IntDistribution(1, 64, log=True)


def test_a_pruned_trial_is_opened_again_and_told_its_values(url: str, opened: Opener) -> None:
    trials = opened(url)
    for _ in range(3):
        ask(trials)
    trials.tell(0, TrialState.COMPLETE, result(0))
    trials.tell(1, TrialState.PRUNED)
    before = stored(url).trials[1]
    assert (before.state, before.values) == (TrialState.PRUNED, None)
    trials.reopen(1)
    again = opened(url)
    for seen in (stored(url).trials[1], trials.trials()[1], again.trials()[1]):
        assert (seen.state, seen.datetime_complete) == (TrialState.RUNNING, None)
        assert (seen.params, seen.datetime_start) == (before.params, before.datetime_start)
    trials.reopen(1)  # as after a crash
    trials.tell(1, TrialState.COMPLETE, result(1))
    assert [t.state.name for t in stored(url).trials] == ["COMPLETE", "COMPLETE", "RUNNING"]
    assert stored(url).trials[1].values == result(1)
    assert trials.trials()[1].values == result(1)
    assert as_seen(opened(url).trials()) == as_seen(trials.trials())


def test_only_a_pruned_trial_is_opened_again(url: str, opened: Opener) -> None:
    trials = opened(url)
    ask(trials)
    trials.tell(0, TrialState.COMPLETE, result(0))
    with pytest.raises(AssertionError):
        trials.reopen(0)
    assert stored(url).trials[0].state == TrialState.COMPLETE

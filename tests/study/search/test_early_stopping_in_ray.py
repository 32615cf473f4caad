"""Early stopping with a real driver and real workers: stopped, killed, taken up, finished."""

from pathlib import Path

import optuna

from mlgsearch.records import TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from tests.study.driver import Study

#: Four trainings of one and the same setting, so of one size: a good one, one that learns slowly,
#: and two that learn nothing. All are judged once, after epoch 2.
STUDY = """
name: tiny
data: {name: digits, limit: 600}
model: {name: resnet8, width: 4}
teacher: {training: {optimiser: adamw, schedule: one_cycle, epochs: 8, learning_rate: 0.02}}
training: {optimiser: adamw, schedule: constant, epochs: 6}
space:
  kind: uniform
  hyperparameters: {training.learning_rate: {low: 1e-7, high: 1.0, log: true}}
search:
  sampler: random
  n_trials: 4
  early_stopping: {factor: 3, first_rung: 2, min_trials: 2}
  first:
    - {setting: [2, 8, 4, 6, 4], hyperparameters: {training.learning_rate: 0.01}}
    - {setting: [2, 8, 4, 6, 4], hyperparameters: {training.learning_rate: 0.0005}}
    - {setting: [2, 8, 4, 6, 4], hyperparameters: {training.learning_rate: 1.0e-6}}
    - {setting: [2, 8, 4, 6, 4], hyperparameters: {training.learning_rate: 1.0e-7}}
"""


def test_a_stopped_trial_is_taken_up_killed_and_finished_without_repeating_an_epoch(
    tmp_path: Path,
) -> None:
    study = Study(tmp_path, tmp_path / "cache", STUDY)
    driver = study.start("launch", str(study.file), "--max-parallel", "1")
    # The second is stopped at the rung; the fourth makes it stand high enough.
    driver.read_until(lambda event: event["event"] == "trial" and event["state"] == "PRUNED")
    driver.read_until(lambda event: event["event"] == "trial" and event["attempts"] == 2)
    driver.read_until(lambda event: event["event"] == "epoch")
    ends = [e["trial"] for e in driver.seen if e["event"] == "trial" and e["state"] == "PRUNED"]
    assert ends == [1, 2, 3]
    assert (driver.seen[-1]["trial"], driver.seen[-1]["epoch"]) == (1, 3)
    driver.kill_with_workers()

    engine = open_engine(study.url)
    store = ResultStore(engine)
    killed = store.trials("tiny")
    assert [t.state.value for t in killed] == ["COMPLETE", "RUNNING", "PRUNED", "PRUNED"]
    assert (killed[2].epochs_done, killed[2].accuracy is None) == (2, False)
    events = study.run("resume", "tiny", "--max-parallel", "1")
    seen = [e["epoch"] for e in events if e["event"] == "epoch"]
    assert seen in ([4, 5, 6], [5, 6], [6])
    assert events[-1]["event"] == "finished"
    none = dict.fromkeys(("WAITING", "RUNNING", "FAIL"), 0)
    assert events[-1]["states"] == {"COMPLETE": 2, "PRUNED": 2} | none

    trials = store.trials("tiny")
    assert trials[1].attempts >= 3  # begun, taken up, and again after the kill
    assert study.repeated_epochs() == []
    for trial in trials:
        curve = store.epochs("tiny", trial.number)
        wanted = 2 if trial.state == TrialState.PRUNED else 6
        assert [epoch.epoch for epoch in curve] == list(range(1, wanted + 1))
        assert curve[-1].validation_accuracy == trial.accuracy
    engine.dispose()
    assert {row["trial"] for row in study.front()} <= {0, 1}
    stored = optuna.load_study(study_name="tiny", storage=study.url)
    assert [t.state.name for t in stored.trials] == [t.state.value for t in trials]
    assert [t.values is None for t in stored.trials] == [False, False, True, True]

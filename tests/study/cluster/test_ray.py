"""A study with its user's own network and sampler, three objectives, and a trial that diverges."""

from pathlib import Path

import optuna

from mlgsearch.records import TrialState
from tests.results.leases import trials_of
from tests.study.driver import Study

USER_CODE = """
from optuna.samplers import RandomSampler
from torch import nn

def network(classes, channels, image_size):
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
    )

def sampler(seed):
    return RandomSampler(seed=seed)
"""

STUDY = """
name: tiny
data: {name: digits, limit: 300}
model: {name: "user_code:network"}
teacher: {training: {epochs: 2}}
training: {epochs: 1}
space:
  kind: uniform
  hyperparameters: {training.learning_rate: {choices: [0.001, 1e+30]}}
search:
  sampler: "user_code:sampler"
  n_trials: 4
  objectives: [accuracy, memory_ratio, generation_macs]
  first:
    - {setting: [2, 4, 3, 6, 3], hyperparameters: {training.learning_rate: 0.001}}
    - {setting: [2, 4, 3, 6, 3], hyperparameters: {training.learning_rate: 1e+30}}
    - {setting: [2, 4, 3, 6, 3], hyperparameters: {training.learning_rate: 0.001}}
    - {setting: [2, 4, 8, 8, 8], hyperparameters: {training.learning_rate: 0.001}}
"""


def test_user_code_objectives_failure_and_reuse(tmp_path: Path) -> None:
    (tmp_path / "user_code.py").write_text(USER_CODE)
    study = Study(tmp_path, tmp_path / "cache", STUDY)
    events = study.run("launch", str(study.file), "--max-parallel", "2")
    assert events[-1]["states"] == {"COMPLETE": 3, "FAIL": 1} | {
        state: 0 for state in events[-1]["states"] if state not in ("COMPLETE", "FAIL")
    }
    trials = trials_of(study.url, "tiny")
    assert trials[1].state == TrialState.FAIL
    assert "epoch 1" in (trials[1].error or "")
    assert trials[2].reused_from == 0
    assert trials[2].accuracy == trials[0].accuracy
    assert set(study.logged()) == {0, 1, 3}
    front = study.front()
    assert {row["trial"] for row in front} <= {0, 3}
    assert all(row["generation_macs"] > 0 for row in front)
    stored = optuna.load_study(study_name="tiny", storage=study.url)
    assert [trial.state.name for trial in stored.trials] == [t.state.value for t in trials]
    assert len(stored.trials[0].values) == 3

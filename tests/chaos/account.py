"""What drivers reported, and whether the database still has it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from sqlalchemy import Engine

from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.study.search.optuna_storage import open_optuna_storage
from tests.study.driver import Study

#: States in which a trial ends for good; one that is PRUNED may be taken up again.
_ENDS = (TrialState.COMPLETE.value, TrialState.FAIL.value)


class Account:
    """What was reported of a study in all its drivers' lives, and so may not be lost.

    ``reported_twice`` counts epochs and ends that were reported again; ``repeated`` those that were
    trained again, as the last `check` found.
    """

    def __init__(self, study: Study):
        self._study = study
        self.repeated = 0
        self.reported_twice = 0
        self._epochs: dict[str, float] = {}
        self._ends: dict[str, tuple[str, float | None]] = {}
        self._runs: dict[str, tuple[str, int, float | None]] = {}

    @property
    def reported(self) -> int:
        """How many results were reported."""
        return len(self._epochs) + len(self._ends) + len(self._runs)

    def to_json(self) -> dict[str, Any]:
        """Write it down; `restore` reads it."""
        return {
            "reported_twice": self.reported_twice,
            "epochs": self._epochs,
            "ends": self._ends,
            "runs": self._runs,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Go on with what an earlier account wrote down."""
        self.reported_twice = content["reported_twice"]
        self._epochs = content["epochs"]
        self._ends = {key: tuple(end) for key, end in content["ends"].items()}
        self._runs = {key: tuple(run) for key, run in content["runs"].items()}

    def take(self, events: Iterable[dict[str, Any]]) -> None:
        """Note what a driver reported."""
        for event in events:
            if event["event"] == "epoch":
                key = f"{event['trial']} {event['epoch']}"
                self.reported_twice += key in self._epochs
                self._epochs[key] = event["validation_accuracy"]
            elif event["event"] == "trial" and event["state"] in _ENDS:
                key = str(event["trial"])
                self.reported_twice += key in self._ends
                self._ends[key] = event["state"], event["accuracy"]
            elif event["event"] == "run":
                key = f"{event['trial']} {event['seed']} {event['epochs']}"
                is_complete = event["state"] == TrialState.COMPLETE.value
                self.reported_twice += is_complete and self._runs.get(key, ("",))[0] != ""
                state = event["state"] if is_complete else ""
                self._runs[key] = state, event["epochs_done"], event["test_accuracy"]

    def check(self) -> list[str]:
        """Look for results that are lost, and for epochs that were trained again."""
        if not self.is_known():
            return [] if not self.reported else ["the study is lost"]
        return [*self._lost(), *self._lost_runs(), *self._trained_again()]

    def check_end(self) -> list[str]:
        """Look for trials that are not at their end, or not the same in Optuna's tables."""
        with self._engine() as engine:
            trials = ResultStore(engine).trials("tiny")
            runs = VerificationStore(engine).verifications("tiny")
            storage = open_optuna_storage(engine)
            stored = optuna.load_study(study_name="tiny", storage=storage)
            theirs = [trial.state.name for trial in stored.trials]
            storage.remove_session()
            storage.engine.dispose()
        ours = [trial.state.value for trial in trials]
        found = [f"trial {t.number} is {t.state}" for t in trials if not t.state.is_finished]
        found += [
            f"the verification of trial {run.trial}, seed {run.seed} is {run.state}"
            for run in runs
            if run.state in (TrialState.RUNNING, TrialState.FAIL)
        ]
        if ours != theirs:
            found.append(f"our states are {ours}, Optuna's {theirs}")
        if TrialState.FAIL.value in ours:
            found.append("a trial failed")
        found += [f"{path} is left" for path in self._study.folder.glob("*runs/*/outbox/*.json")]
        return found

    def is_known(self) -> bool:
        """Whether the study got into the database yet."""
        with self._engine() as engine:
            upgrade(engine)
            return bool(ResultStore(engine).studies())

    def trials(self) -> list[TrialRecord]:
        """Return its trials; none where it is not known yet."""
        if not self.is_known():
            return []
        with self._engine() as engine:
            return ResultStore(engine).trials("tiny")

    def _lost(self) -> Iterator[str]:
        trials = self.trials()
        with self._engine() as engine:
            store = ResultStore(engine)
            epochs = {
                f"{trial.number} {epoch.epoch}": epoch.validation_accuracy
                for trial in trials
                for epoch in store.epochs("tiny", trial.number)
            }
        numbers = [trial.number for trial in trials]
        if numbers != list(range(len(numbers))):
            yield f"trial numbers {numbers}"
        for key, accuracy in self._epochs.items():
            if epochs.get(key) != accuracy:
                yield "epoch {1} of trial {0} is lost".format(*key.split())
        ends = {str(trial.number): (trial.state.value, trial.accuracy) for trial in trials}
        for key, end in self._ends.items():
            if ends.get(key) != end:
                yield f"the end of trial {key} is lost: {end}"

    def _lost_runs(self) -> Iterator[str]:
        with self._engine() as engine:
            stored = {
                f"{run.trial} {run.seed} {run.epochs}": run
                for run in VerificationStore(engine).verifications("tiny")
            }
        for key, (state, epochs_done, accuracy) in self._runs.items():
            run = stored.get(key)
            is_kept = run is not None and run.epochs_done >= epochs_done
            if state and run is not None:
                is_kept = (run.state.value, run.test_accuracy) == (state, accuracy)
            if not is_kept:
                yield f"the verification {key} is lost: {state} {epochs_done} {accuracy}"

    def _trained_again(self) -> Iterator[str]:
        self.repeated = 0
        logs = dict(self._study.logs())
        if self._epochs and not logs:
            yield "no training's own log is found"
        for name, events in logs.items():
            last = 0
            for event in events:
                if event["event"] == "began":
                    again = last - event["epochs_done"]
                    self.repeated += max(again, 0)
                    if again > 1:
                        yield f"{again} epochs of {name} are repeated"
                elif event["event"] == "epoch":
                    last = event["epoch"]

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        engine = open_engine(self._study.url)
        try:
            yield engine
        finally:
            engine.dispose()

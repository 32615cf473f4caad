"""Ray Tune's view of a study: it asks for a trial, and says what became of it."""

import json
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.search import Searcher

from mlgsearch.records import EpochRecord
from mlgsearch.study.ledger import Job, Ledger


def job_config(job: Job) -> dict[str, Any]:
    """Give what a worker needs of a job; text, since Ray flattens and prints what is nested."""
    settings = {name: setting.five for name, setting in job.proposal.settings.items()}
    return {
        "number": job.number,
        "settings": json.dumps(settings),
        "hyperparameters": json.dumps(job.proposal.hyperparameters),
    }


class DriverOnly:
    """Something of the driver's that Ray writes into its experiment state, where it means nothing.

    Ray pickles a Tuner with all it was given, to be restored later; we never restore from Ray.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StudySearcher(DriverOnly, Searcher):
    """Hands a ledger's jobs to Ray Tune and Ray's results to the ledger.

    Ray's own id of a trial is kept for the moment only: what lasts is the trial's number.
    """

    def __init__(self, ledger: Ledger):
        super().__init__()
        self._ledger = ledger
        self._numbers: dict[str, int] = {}
        #: Set where the study is being stopped: what Ray reports after that says nothing.
        self.is_stopping = False

    def number(self, trial_id: str) -> int | None:
        """Give the number of the trial that Ray knows by this id, while it runs."""
        return self._numbers.get(trial_id)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Give the next job's configuration, None for later, or Ray's word for no more."""
        job = None if self.is_stopping else self._ledger.next_job()
        if job is None:
            if not self.is_stopping and not self._ledger.has_no_more:
                return None
            return Searcher.FINISHED  # type: ignore[return-value]  # a string, by Ray's contract
        self._numbers[trial_id] = job.number
        return job_config(job)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record the epochs that a running trial reports."""
        self.goes_on(trial_id, result)

    def goes_on(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Record the epochs that a running trial reports; tell whether it goes on.

        Where it does not, it has ended: what Ray tells of it afterwards says nothing.
        """
        number = self._numbers.get(trial_id)
        if number is None or self.is_stopping:
            return True
        if self._ledger.add_epochs(number, _epochs(result)):
            return True
        del self._numbers[trial_id]
        return False

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Finish a trial by what it reported last."""
        if self.is_stopping:
            return
        number = self._numbers.pop(trial_id, None)
        if number is None:
            return
        if error or not result or "payload" not in result:
            self._ledger.fail(number, "its worker died, and died again each time it was restarted")
            return
        if not self._ledger.add_epochs(number, _epochs(result)):
            return
        payload = json.loads(result["payload"])
        if "error" in payload:
            self._ledger.fail(number, payload["error"])
        elif "summary" not in payload:
            self._ledger.fail(number, "it was stopped before its end")
        else:
            self._ledger.complete(number, payload["summary"])

    def save(self, checkpoint_path: str) -> None:
        """Satisfy Ray, which insists on a file; the database is the only truth."""
        Path(checkpoint_path).write_text("the study's database holds its state\n")

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: see `save`."""


class AttemptCounter(DriverOnly, Callback):
    """Tells the ledger when Ray gives a trial to another worker."""

    def __init__(self, searcher: StudySearcher, ledger: Ledger):
        self._searcher = searcher
        self._ledger = ledger

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count an attempt."""
        number = self._searcher.number(trial.trial_id)
        if number is not None:
            self._ledger.add_attempt(number)


def _epochs(result: dict[str, Any]) -> list[EpochRecord]:
    return [EpochRecord(**epoch) for epoch in json.loads(result["payload"])["epochs"]]

"""Ray Tune's side of early stopping: it asks the study whether a trial goes on."""

import os
from pathlib import Path
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from mlgsearch.study.cluster.tune_adapter import DriverOnly, StudySearcher


class StudyScheduler(DriverOnly, FIFOScheduler):
    """Stops a trial where the study's ledger says so.

    Ray tells its scheduler a result before it tells its searcher, and a result that stops a trial
    not to the searcher at all; so the scheduler hands every result on itself.
    """

    def __init__(self, searcher: StudySearcher):
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's
        self._searcher = searcher

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Hand on why a worker died, which Ray tells its searcher not."""
        # Not `get_error`, which looks where Ray copies this file later.
        written = Path(trial.error_file or os.devnull)
        said = written.read_text(errors="replace") if written.exists() else ""
        self._searcher.note_death(trial.trial_id, said)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Give Ray's word for going on or for stopping."""
        goes_on = self._searcher.goes_on(trial.trial_id, result)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

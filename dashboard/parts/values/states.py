"""How a trial's state is called on every page."""

from collections.abc import Mapping

from mlgsearch.records import TrialState

#: In the order in which pages list them.
STATE_WORDS: Mapping[TrialState, str] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped early",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "queued",
}

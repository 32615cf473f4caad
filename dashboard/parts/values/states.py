"""How states are called on every page: a trial's, and a study's."""

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


def study_state(host: str | None, ended: str | None, *, is_over: bool) -> str:
    """Describe a study's state: ``host`` drives it, ``ended`` is why it ended before its total."""
    if host is not None:
        return f"running on {host}"
    if ended is not None:
        return f"finished early: {ended}"
    return "finished" if is_over else "stopped"

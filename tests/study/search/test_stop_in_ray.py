"""A search that ends early, with a real driver and real workers."""

from pathlib import Path

from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from tests.study.driver import STUDY, Study


def test_a_search_ends_at_its_goal_and_goes_on_when_asked(tmp_path: Path) -> None:
    text = STUDY + "  stop: {front_reaches: {accuracy: 0.05}}\n"
    study = Study(tmp_path, tmp_path / "cache", text)
    events = study.run("launch", str(study.file), "--max-parallel", "1")
    assert events[-1]["event"] == "finished"
    assert events[-1]["states"]["COMPLETE"] == 1
    assert events[-1]["ended"].startswith("trial 0 reaches search.stop.front_reaches: accuracy 0.")
    engine = open_engine(study.url)
    store = ResultStore(engine)
    ended = store.study("tiny")
    assert (ended.n_trials, ended.ended) == (1, events[-1]["ended"])

    again = study.run("resume", "tiny", "--max-parallel", "1")
    assert again[-1]["states"]["COMPLETE"] == 1
    assert again[-1]["ended"] == events[-1]["ended"]

    on = study.run("resume", "tiny", "--no-stop", "--trials", "2", "--max-parallel", "1")
    assert on[-1]["states"]["COMPLETE"] == 2
    assert on[-1]["ended"] is None
    assert store.study("tiny").ended is None
    engine.dispose()

"""A study that begins with another's settings and reports to TensorBoard, in a real driver."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.train.files.packed_file import load_packed
from tests.study.driver import STUDY, Study

WARM = STUDY.replace("name: tiny", "name: warm").replace("n_trials: 6", "n_trials: 4")


def test_a_warm_started_study_is_reported_while_it_runs(tmp_path: Path) -> None:
    cold = Study(tmp_path, tmp_path / "cache", STUDY.replace("n_trials: 6", "n_trials: 2"))
    cold.run("launch", str(cold.file), "--max-parallel", "1")
    text = WARM.replace("first: [[2, 8, 4, 6, 4]]", "warm_start: [tiny]")
    warm = Study(tmp_path, tmp_path / "cache", text + "listeners: {tensorboard: events}\n")
    warm.run("launch", str(warm.file), "--max-parallel", "1")

    engine = open_engine(warm.url, read_only=True)
    store = ResultStore(engine)
    tried = {str(trial.settings) for trial in store.trials("tiny")}
    first = store.trials("warm")[0]
    assert str(first.settings) in tried
    assert store.study("warm").lineage[0]["began_with"] == ["study 'tiny'"]
    accuracies = {n: curve[4] for n, curve in store.accuracies("warm", [4]).items()}
    trials = store.trials("warm")
    engine.dispose()

    for trial in trials:
        place = tmp_path / "events" / "warm" / f"{trial.number:06d}"
        events = EventAccumulator(str(place))
        events.Reload()
        curve = events.Scalars("accuracy")
        assert [point.step for point in curve] == [1, 2, 3, 4]
        assert abs(curve[-1].value - accuracies[trial.number]) < 1e-6
        assert events.Scalars("packed_bytes")[0].value == trial.packed_bytes
        packed = place / f"trial-{trial.number:06d}.mlg"
        assert packed.stat().st_size > 0
        assert type(load_packed(packed)).__name__ == "CifarResNet"

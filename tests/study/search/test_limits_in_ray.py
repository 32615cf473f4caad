"""Limits, with a real driver and real workers: nothing that breaks one is trained."""

from pathlib import Path

from tests.results.leases import trials_of
from tests.study.driver import STUDY, Study

_ALLOCATION = STUDY.replace("space: {kind: layerwise,", "space: {kind: allocation,").replace(
    "  first: [[2, 8, 4, 6, 4]]\n", "  planned: 3\n"
)


def test_every_trained_student_keeps_both_limits(tmp_path: Path, cache: Path) -> None:
    limits = {"packed_bytes": 2_600, "execution_macs": 45_000}
    text = _ALLOCATION + f"limits: {limits}\n"
    study = Study(tmp_path, cache, text)
    events = study.run("launch", str(study.file), "--max-parallel", "1")
    assert events[-1]["states"]["COMPLETE"] == 6
    trials = trials_of(study.url, "tiny")
    assert max(trial.packed_bytes or 0 for trial in trials) <= limits["packed_bytes"]
    assert max(trial.sizes.execution_macs for trial in trials) <= limits["execution_macs"]
    assert min(trial.packed_bytes or 0 for trial in trials) > 0


def test_every_trained_student_keeps_a_byte_and_an_activation_limit(
    tmp_path: Path, cache: Path
) -> None:
    limits = {"packed_bytes": 2_900, "peak_activation_bytes": 2_250}
    space = "space: {kind: allocation, activation_bits: [4, 6, 8],"
    text = _ALLOCATION.replace("space: {kind: allocation,", space) + f"limits: {limits}\n"
    study = Study(tmp_path, cache, text)
    events = study.run("launch", str(study.file), "--max-parallel", "1")
    assert events[-1]["states"]["COMPLETE"] == 6
    trials = trials_of(study.url, "tiny")
    for trial in trials:
        assert 0 < (trial.packed_bytes or 0) <= limits["packed_bytes"]
        assert 0 < (trial.peak_activation_bytes or 0) <= limits["peak_activation_bytes"]
    bits = {str(trial.hyperparameters["quantisation.in_bits"]) for trial in trials}
    assert any(len(set(each.split(","))) > 1 for each in bits)


def test_an_impossible_limit_is_said_before_the_teacher_is_trained(tmp_path: Path) -> None:
    study = Study(tmp_path, tmp_path / "cache", _ALLOCATION + "limits: {packed_bytes: 300}\n")
    driver = study.start("launch", str(study.file))
    events = driver.read_to_end()
    assert driver.wait() == 2
    assert "limits.packed_bytes: 300 cannot be kept: the smallest" in driver.errors()
    assert not [event for event in events if event.get("stage") == "teacher"]
    assert not list((tmp_path / "cache").glob("teachers/*"))

import hashlib
import json
import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mlgsearch.records import TrialState
from mlgsearch.study.writing.pending import PendingTrial, PendingVerification
from mlgsearch.study.writing.spool import Spool
from tests.full_disk import full_disk
from tests.results.samples import a_complete, a_trial, a_verification, an_epoch


def test_what_is_kept_reads_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "outbox", PendingTrial)
    assert spool.kept() == []
    spool.keep(PendingTrial(a_trial(7, attempts=2), (an_epoch(1), an_epoch(2))))
    spool.keep(PendingTrial(a_complete(3, 0.9, 0.1, error="Ω \x00")))
    spool.keep(PendingTrial(a_trial(7, attempts=3), (an_epoch(1, train_loss=0.1 + 0.2),)))
    assert Spool(spool.folder, PendingTrial).kept() == [
        PendingTrial(a_complete(3, 0.9, 0.1, error="Ω \x00"), ()),
        PendingTrial(a_trial(7, attempts=3), (an_epoch(1, train_loss=0.1 + 0.2),)),
    ]
    assert spool.folder.stat().st_mode & 0o077 == 0
    spool.drop("000003")
    spool.drop("000004")
    assert [kept.record.number for kept in spool.kept()] == [7]


def test_what_is_not_finite_survives(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PendingTrial)
    epoch = an_epoch(1, validation_loss=math.nan)
    spool.keep(PendingTrial(a_trial(0, accuracy=math.inf), (epoch,)))
    (kept,) = spool.kept()
    assert kept.record.accuracy == math.inf
    assert math.isnan(kept.epochs[0].validation_loss)
    assert replace(kept.record, accuracy=None) == a_trial(0)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign", "list"])
def test_what_is_not_whole_is_passed_over(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, PendingTrial)
    spool.keep(PendingTrial(a_trial(0), (an_epoch(1),)))
    spool.keep(PendingTrial(a_trial(1), (an_epoch(1),)))
    path = tmp_path / "000000.json"
    content = path.read_bytes()
    match damage:
        case "flip":
            place = content.index(b"epochs_wanted")
            path.write_bytes(content[:place] + b"E" + content[place + 1 :])
        case "cut":
            path.write_bytes(content[:-9])
        case "empty":
            path.write_bytes(b"")
        case "foreign":
            path.write_bytes(b'{"sha256": 3, "content": {}}')
        case "list":
            path.write_bytes(b"[]")
    (tmp_path / ".000002.json.1-abc.tmp").write_bytes(content[:10])
    assert [kept.record.number for kept in spool.kept()] == [1]
    assert "000000.json is damaged and passed over" in caplog.text


@pytest.mark.parametrize("change", [{"new": 1}, {"state": "LOST"}, {"sizes": None}, {"epochs": 3}])
def test_what_another_version_wrote_is_passed_over_and_kept(
    tmp_path: Path, change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, PendingTrial)
    spool.keep(PendingTrial(a_trial(0)))
    spool.keep(PendingTrial(a_trial(1)))
    path = tmp_path / "000000.json"
    content = json.loads(json.loads(path.read_bytes())["content"])
    target = content if "epochs" in change else content["record"]
    target.update(change)
    text = json.dumps(content)
    digest = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps({"sha256": digest, "content": text}))
    assert [kept.record.number for kept in spool.kept()] == [1]
    assert "000000.json was written by another version, and is passed over" in caplog.text
    assert path.exists()


def test_a_verification_reads_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PendingVerification)
    done = a_verification(finished_at=a_complete(0, 0.9, 0.1).finished_at)
    for record in (replace(done, state=TrialState.RUNNING), done, replace(done, seed=2**62)):
        spool.keep(PendingVerification(record))
    assert spool.kept() == [
        PendingVerification(done),
        PendingVerification(replace(done, seed=2**62)),
    ]


@pytest.mark.parametrize("is_first", [True, False])
def test_on_a_full_disk_nothing_half_is_kept_and_what_was_kept_stays(
    tmp_path: Path, is_first: bool
) -> None:
    """Each step of the writing fails once, the first time and over what is there."""
    spool = Spool(tmp_path / "outbox", PendingTrial)
    before, after = (PendingTrial(a_trial(0, attempts=number)) for number in (1, 2))
    if not is_first:
        spool.keep(before)
    failed = 0
    while True:
        with full_disk(failed + 1) as disk, suppress(OSError):
            spool.keep(after)
        if not disk.is_full:
            break
        failed += 1
        assert spool.kept() == ([] if is_first else [before])
        assert not list(tmp_path.rglob("*.tmp"))
    assert failed >= 2
    assert spool.kept() == [after]

import math
from dataclasses import replace
from pathlib import Path

import pytest

from mlgsearch.study.outbox import Kept, Outbox
from tests.results.samples import a_complete, a_trial, an_epoch


def test_what_is_kept_reads_back(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox")
    assert outbox.kept() == []
    outbox.keep(a_trial(7, attempts=2), [an_epoch(1), an_epoch(2)])
    outbox.keep(a_complete(3, 0.9, 0.1, error="Ω \x00"), [])
    outbox.keep(a_trial(7, attempts=3), [an_epoch(1, train_loss=0.1 + 0.2)])
    assert Outbox(outbox.folder).kept() == [
        Kept(a_complete(3, 0.9, 0.1, error="Ω \x00"), ()),
        Kept(a_trial(7, attempts=3), (an_epoch(1, train_loss=0.1 + 0.2),)),
    ]
    assert outbox.folder.stat().st_mode & 0o077 == 0
    outbox.drop(3)
    outbox.drop(4)
    assert [kept.record.number for kept in outbox.kept()] == [7]


def test_what_is_not_finite_survives(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.keep(a_trial(0, accuracy=math.inf), [an_epoch(1, validation_loss=math.nan)])
    (kept,) = outbox.kept()
    assert kept.record.accuracy == math.inf
    assert math.isnan(kept.epochs[0].validation_loss)
    assert replace(kept.record, accuracy=None) == a_trial(0)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign", "list"])
def test_what_is_not_whole_is_passed_over(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(tmp_path)
    outbox.keep(a_trial(0), [an_epoch(1)])
    outbox.keep(a_trial(1), [an_epoch(1)])
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
    assert [kept.record.number for kept in outbox.kept()] == [1]
    assert "000000.json is damaged and passed over" in caplog.text

"""Single rounds on real databases; `scripts/chaos --rounds 20` is the long campaign."""

import tempfile
from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.database import open_database
from tests.chaos.limits import memory_group
from tests.chaos.victim import Kills, Victim


def test_a_short_campaign_breaks_no_promise_and_is_not_done_twice() -> None:
    # Not pytest's tmp_path: only its owner may enter that, and the server is another user.
    with (
        tempfile.TemporaryDirectory(prefix="mlg-chaos-") as name,
        open_database("postgresql", Path(name)) as database,
    ):
        folder = Path(name)
        study = folder / "study"
        study.mkdir()
        victim = Victim(study, folder / "cache", database)
        rounds = list(Campaign(victim, 1, ("database",)).run(1))
        assert [(done.action, done.violations) for done in rounds] == [
            ("database", ()),
            ("finish", ()),
        ]
        # On a fast machine the study is through before its driver dies.
        assert rounds[1].reported >= rounds[0].reported > 0
        assert (victim.kills.drivers, victim.kills.outages) == (1, 1)
        # A second campaign finds the first one's diary.
        again = Campaign(Victim(study, folder / "cache", database), 1, ("database",))
        assert again.rounds == rounds
        assert list(again.run(1)) == []


def a_round(cache: Path, action: str, seed: int = 1) -> tuple[str, Kills]:
    """Do one round on SQLite, which breaks no promise; return what was done, and the kills."""
    with (
        tempfile.TemporaryDirectory(prefix="mlg-chaos-") as name,
        open_database("sqlite", Path(name)) as database,
    ):
        victim = Victim(Path(name), cache, database)
        done, finish = Campaign(victim, seed, (action,)).run(1)
        assert (done.violations, finish.action, finish.violations) == ((), "finish", ())
        assert finish.reported >= max(done.reported, 1)  # a closed stdout may report nothing
        return done.action, victim.kills


def test_a_driver_that_a_signal_stopped_is_not_counted_as_killed(cache: Path) -> None:
    assert a_round(cache, "sigterm") == ("sigterm", Kills())


def test_a_driver_whose_stdout_goes_away_trains_on(cache: Path) -> None:
    assert a_round(cache, "stdout") == ("stdout", Kills(drivers=1))


def test_a_worker_that_a_limit_of_memory_ends_is_replaced(cache: Path) -> None:
    with memory_group("mlgsearch-chaos-tried") as group:
        can_limit = group is not None
    # On a busy machine the moment of a round may come before there is a worker.
    rounds = [a_round(cache, "limits")]
    while can_limit and rounds[-1][0] == "driver" and len(rounds) < 4:
        rounds.append(a_round(cache, "limits", seed=1 + len(rounds)))
    action, kills = rounds[-1]
    assert action == ("limits" if can_limit else "driver")
    assert (kills.drivers, kills.workers) == (1, int(can_limit))


def test_a_round_that_could_hurt_no_worker_is_one_of_the_driver(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Victim, "starve_worker", lambda *_: False)
    assert a_round(cache, "limits") == ("driver", Kills(drivers=1))

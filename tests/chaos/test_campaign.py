"""Single rounds on real databases; `scripts/chaos --rounds 20` is the long campaign."""

import tempfile
from pathlib import Path

from tests.chaos.campaign import Campaign
from tests.chaos.database import open_database
from tests.chaos.victim import Victim


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


def test_a_driver_that_a_signal_stopped_is_not_counted_as_killed() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="mlg-chaos-") as name,
        open_database("sqlite", Path(name)) as database,
    ):
        victim = Victim(Path(name), Path(name) / "cache", database)
        rounds = list(Campaign(victim, 1, ("sigterm",)).run(1))
        assert [(done.action, done.violations) for done in rounds] == [
            ("sigterm", ()),
            ("finish", ()),
        ]
        assert victim.kills.drivers == 0

"""Two rounds; `scripts/chaos --rounds 20` is the long campaign."""

from pathlib import Path

from tests.chaos.campaign import Campaign


def test_a_short_campaign_breaks_no_promise(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    campaign = Campaign(folder, tmp_path / "cache", seed=1)
    rounds = list(campaign.run(2))
    assert [done.violations for done in rounds] == [(), (), ()]
    assert [done.action for done in rounds] == ["driver", "worker", "finish"]
    assert rounds[-1].acknowledged > rounds[0].acknowledged
    assert campaign.kills >= 2

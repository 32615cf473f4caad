"""The seven tasks of the dashboard's documentation, in as many clicks as it says."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import Engine

from mlgsearch.records import LeaseRecord, TrialState
from mlgsearch.results.database import lease
from mlgsearch.results.database.store import ResultStore
from tests.dashboard.layered import a_layered_study, layered_study
from tests.dashboard.serving import Visit
from tests.results.samples import a_trial

_DOCUMENT = Path(__file__).parents[2] / "docs" / "dashboard.md"

#: Most clicks from the open page to a student's command.
_MOST_TO_A_COMMAND = 3


def write(store: ResultStore) -> None:
    store.create_study(a_layered_study("one", "resnet20", 60))
    for trial in layered_study(store, "two", trials=45):
        rate = 10 ** (-4 + trial.number / 20)
        store.put_trial("one", replace(trial, hyperparameters={"rate": rate}))
    store.put_trial("one", a_trial(45, state=TrialState.FAIL, error="loss is NaN"))


fill = pytest.fixture(scope="module")(lambda: write)


@pytest.fixture(scope="module", autouse=True)
def driver(file_engine: Engine) -> LeaseRecord:
    """Drive the study, at a trial a minute."""
    held = lease.acquire(file_engine, "one", holder="ada", host="node7", pid=7, ttl_s=3600)
    store = ResultStore(file_engine, held)
    trials = store.trials("two")[:3]
    for minute, trial in enumerate(trials, start=1):
        ended = held.acquired_at + timedelta(minutes=minute)
        store.put_trial("one", replace(trial, number=45 + minute, finished_at=ended))
    return held


class Hand:
    """Works on a study's open page and counts: each click, and each number that is typed."""

    def __init__(self, visit: Visit) -> None:
        self.page: Page = visit.study("one")
        self.clicks = 0

    def click(self, what: Locator) -> None:
        what.click()
        self.clicks += 1

    def write(self, what: Locator, number: str) -> None:
        what.fill(number)
        self.clicks += 1


@pytest.fixture
def hand(visit: Visit) -> Hand:
    return Hand(visit)


def documented(task: str) -> int:
    """Return the number of clicks that the documentation says a task takes now."""
    found = re.search(rf"^\| {re.escape(task)} \|[^|]*\| (\d+) \|", _DOCUMENT.read_text(), re.M)
    assert found is not None
    return int(found[1])


def test_follow_a_running_study(hand: Hand) -> None:
    state = hand.page.locator("#study-state")
    expect(state).to_contain_text(re.compile(r"1 min per trial.*left.*last result \d+ s ago"))
    # All of it at once, without scrolling.
    for said in ("running on node7", re.compile("trials$"), re.compile("left$"), "last result"):
        expect(state.locator(".state > *", has_text=said)).to_be_in_viewport(ratio=1)
    last = state.locator(".state time")
    before = last.inner_text()
    expect(last).not_to_have_text(before)  # it counts on
    assert hand.clicks == documented("follow a running study")


def test_why_does_a_beat_b(hand: Hand) -> None:
    table = hand.page.locator("#study-table")
    for number in table.locator("tbody th").all_inner_texts()[:2]:
        hand.click(table.get_by_role("button", name=f"Select trial {number}", exact=True))
    differs = hand.page.get_by_role("region", name="What differs")
    expect(differs.get_by_role("columnheader")).to_have_count(2)
    groups = differs.locator(".group")
    expect(groups).to_have_text(["Result", "Hyperparameters", re.compile("^Layers")])
    assert hand.clicks == documented("why does A beat B")


@pytest.mark.view(
    viewport={"width": 1280, "height": 800},
    permissions=["clipboard-read", "clipboard-write"],
)
def test_best_under_300_kb_to_its_command(hand: Hand) -> None:
    hand.write(hand.page.get_by_role("spinbutton", name="Bound"), "300")
    hand.click(hand.page.get_by_role("button", name="Copy the export command"))
    expect(hand.page.get_by_role("button", name="Copy the export command")).to_have_text("Copied")
    copied = hand.page.evaluate("navigator.clipboard.readText()")
    assert re.search(r"export one (\d+) student-\1\.safetensors", copied)
    assert hand.clicks == documented("best under 300 KB, to its command") <= _MOST_TO_A_COMMAND


def test_which_layers_matter(hand: Hand) -> None:
    hand.click(hand.page.get_by_role("link", name="Which layers matter"))
    expect(hand.page.locator("#importance-certainty")).to_contain_text(
        "trials: the layers' numbers and the hyperparameters predict"
    )
    assert hand.clicks == documented("which layers matter")


def test_compare_two_studies(hand: Hand) -> None:
    hand.click(hand.page.get_by_role("link", name="Compare with other studies"))
    hand.click(hand.page.locator("#content").get_by_role("link", name="two"))
    expect(hand.page.locator("#compare-table tbody tr")).to_have_count(2)
    assert hand.clicks == documented("compare two studies")


def test_failed_trials_and_why(hand: Hand) -> None:
    hand.click(hand.page.get_by_role("link", name="1", exact=True).and_(hand.page.locator("dd a")))
    expect(hand.page.locator("#study-failures")).to_contain_text("loss is NaN")
    assert hand.clicks == documented("failed trials, and why")


@pytest.mark.view(
    viewport={"width": 1280, "height": 800},
    permissions=["clipboard-read", "clipboard-write"],
)
def test_share_a_view(hand: Hand) -> None:
    hand.click(hand.page.get_by_role("button", name="Copy link to this view"))
    expect(hand.page.get_by_role("button", name="Copied")).to_be_visible()
    assert hand.page.evaluate("navigator.clipboard.readText()") == hand.page.url
    assert hand.clicks == documented("share a view")

"""From a search that runs to the file of a student: all that a visitor does, in a real browser."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from mlgsearch.train.files.packed_file import read_packed
from tests.dashboard.marks import click_trial
from tests.dashboard.pages.test_trial import copied
from tests.dashboard.serving import Visit, serving
from tests.study.driver import Study
from tests.study.driverless import empty_database

STUDY = """
name: tiny
data: {name: digits, limit: 300}
model: {name: resnet8, width: 4}
teacher: {training: {epochs: 1}}
training: {epochs: 2}
space: {kind: uniform, B_in: [1, 4], B_out: [1, 16]}
search: {sampler: random, n_trials: 3, first: [[2, 8, 4, 6, 4]]}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("search")
    (folder / "a.db").write_bytes(empty_database())
    return Study(folder, folder / "cache", STUDY)


@pytest.fixture(scope="module")
def served(study: Study) -> Iterator[str]:
    with serving(study.url) as address:
        yield address


def test_a_search_is_followed_and_its_student_taken_home(
    visit: Visit, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the dashboard was started, and so where it is pasted
    page = visit.go("/")
    expect(page.locator("#content")).to_contain_text("mlgsearch launch")
    driver = study.start("launch", str(study.file), "--max-parallel", "1")
    link = page.get_by_role("link", name="tiny", exact=True)
    link.click()
    seen = page.locator("#study-state")
    page.evaluate("window.isSamePage = true")
    for done in (1, 2, 3):
        driver.read_until(lambda event: event.get("state") == "COMPLETE")
        expect(seen).to_contain_text(re.compile(f"[{done}-3] of 3"))
    driver.read_to_end()
    assert page.evaluate("window.isSamePage")
    assert driver.wait() == 0, driver.errors()

    best = max(study.front(), key=lambda row: row["accuracy"])
    click_trial(page, "study-chart", best["trial"])
    page.get_by_role("link", name=f"Trial {best['trial']}").click()
    expect(page).to_have_url(re.compile(rf"/study/trial\?name=tiny&number={best['trial']}$"))
    expect(page.locator("#trial-home")).to_be_visible()  # the study's page has such a button, too
    command = copied(page, "the export command")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)
    card, _ = read_packed(tmp_path / f"student-{best['trial']}.safetensors")
    assert (card.study, card.trial) == ("tiny", best["trial"])

"""The page of a trial in a real browser, on a student that really was trained."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from mlgsearch.records import TrialState
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.study.file.strict_yaml import load
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.train.files.packed_file import read_packed
from tests.dashboard.serving import Visit
from tests.results.samples import a_trial, a_verification, an_epoch
from tests.study.artifacts.test_export import Exporter, Trained, trained

__all__ = ["trained"]  # a fixture

ERROR = "ValueError: <img src=x onerror=alert(1)>\n  in line 2"


@pytest.fixture(scope="module")
def database_file(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Path:
    """Database with a trained student, its checkpoints beside it."""
    folder = tmp_path_factory.mktemp("trial page")
    exporter = Exporter(folder, trained)
    store = ResultStore(exporter.engine)
    store.put_trial("digits", store.trial("digits", 0), [an_epoch(1)])
    VerificationStore(exporter.engine).put("digits", a_verification(0, 8, 0.75))
    failed = a_trial(7, state=TrialState.FAIL, error=ERROR, attempts=3)
    store.put_trial("digits", failed)
    store.put_trial("digits", a_trial(8, epochs_wanted=4))
    exporter.engine.dispose()
    return folder / "a.db"


def copied(page: Page, what: str) -> str:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.get_by_role("button", name=f"Copy {what}")
    button.click()
    expect(button).to_have_text("Copied")
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def test_the_copied_command_writes_the_student(
    visit: Visit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: Trained,
) -> None:
    monkeypatch.chdir(tmp_path)  # where the dashboard was started, and so where it is pasted
    page = visit.go("/study/trial?name=digits&number=0")
    command = copied(page, "the export command")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)
    card, _ = read_packed(tmp_path / "student-0.safetensors")
    assert (card.study, card.trial) == ("digits", 0)
    assert card.accuracy == pytest.approx(trained.record.accuracy, abs=1e-6)
    verify = copied(page, "the verify command")
    assert verify == command.replace(
        "export digits 0 student-0.safetensors", "verify digits --trials 0"
    )
    entry = load(f"search:\n  first:\n{copied(page, 'the settings')}", "x.yaml")
    (first,) = parse_study({"name": "again", **entry}, "x.yaml").search.first
    assert first.layers == dict(trained.record.settings)


def test_without_a_right_to_the_clipboard_it_still_copies(visit: Visit) -> None:
    page = visit.go("/study/trial?name=digits&number=0")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    button = page.get_by_role("button", name="Copy the verify command")
    button.click()
    expect(button).to_have_text("Copied")


def test_what_is_known_of_a_trial_is_shown(visit: Visit) -> None:
    page = visit.go("/study/trial?name=digits&number=0")
    facts = page.locator("#trial-facts")
    expect(facts).to_contain_text("complete, on the front")
    expect(page.get_by_role("region", name="Settings, layer by layer")).to_contain_text("conv1")
    expect(page.get_by_role("region", name="Verification runs")).to_contain_text("75.00 %")
    expect(page.locator("#trial-learning-summary")).to_contain_text("80.00 % after epoch 1")
    page.goto(f"{visit.base}/study/trial?name=digits&number=1")
    expect(page.locator("#trial-origin")).to_contain_text("shares the result of")
    page.get_by_role("link", name="trial 0").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Trial 0 of digits")


def test_an_error_is_text(visit: Visit) -> None:
    page = visit.go("/study/trial?name=digits&number=7")
    expect(page.locator("pre.error")).to_have_text(ERROR)
    said = page.locator("#trial-learning-summary")
    expect(said).to_have_text("The trial failed before an epoch was finished.")
    page.locator("figure.chart summary").click()
    expect(page.locator("#trial-learning-table")).to_have_text("No epoch was finished.")
    expect(page.locator("#trial-home")).to_contain_text("only a complete one can be exported")
    expect(page.locator("#trial-origin")).to_contain_text("3 times: it was taken up again")
    expect(page.get_by_role("button", name="Copy the export command")).to_have_count(0)


@pytest.mark.view(color_scheme="dark", viewport={"width": 400, "height": 800})
def test_a_running_trial_is_followed(visit: Visit, writer: ResultStore) -> None:
    page = visit.go("/study/trial?name=digits&number=8")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    expect(page.locator("#trial-learning-summary")).to_have_text("No epoch is finished yet.")
    running = writer.trial("digits", 8)
    writer.put_trial("digits", running, [an_epoch(1, validation_accuracy=0.5)])
    expect(page.locator("#trial-learning-summary")).to_contain_text("50.00 % after epoch 1")
    done = replace(running, state=TrialState.FAIL, error="no memory")
    writer.put_trial("digits", done)
    expect(page.locator("pre.error")).to_have_text("no memory")


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("name=digits&number=99", "has no trial 99"),
        ("name=digits&number=x", "'x' is no number of a trial"),
        ("name=digit&number=0", "no study 'digit'; there is 'digits'"),
    ],
)
def test_an_address_that_names_nothing_is_reported(visit: Visit, search: str, said: str) -> None:
    expect(visit.go(f"/study/trial?{search}").locator(".notice")).to_contain_text(said)

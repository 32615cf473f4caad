"""The page of a study in a real browser."""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, insert, select

from mlgsearch.records import PlannedStudent
from mlgsearch.results.database import lease
from mlgsearch.results.database.connection.engine import writing
from mlgsearch.results.database.rows import trial_row
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.tables import study_table, trial_table
from mlgsearch.results.database.verification_store import VerificationStore
from tests.dashboard.columns import many_columns
from tests.dashboard.marks import click_trial, legend, ranges, zoom_in
from tests.dashboard.samples import CONTENT, add_trial, fill_some_studies
from tests.dashboard.serving import Visit
from tests.results.samples import a_complete, a_study, a_trial, a_verification

MANY = 10_000
UNCOMPRESSED = "25.0% of this network's parameters are not compressed"
REFERENCE = {
    "name": "MLG",
    "memory_ratio": 0.008,
    "accuracy": 0.93,
    "source": "Gu et al.",
    "protocol": "test part",
}


def write(store: ResultStore) -> None:
    fill_some_studies(store)
    store.create_study(a_study("live", content=CONTENT))
    for number in range(3):
        add_trial(store, "live", number)
    planned = (PlannedStudent(1_000, 0.004, 0.5), PlannedStudent(30_000, 0.1, 0.1))
    rich = a_study(
        "rich",
        content=CONTENT | {"references": [REFERENCE]},
        planned=planned,
        uncompressed=UNCOMPRESSED,
    )
    store.create_study(rich)
    for number in range(3):
        add_trial(store, "rich", number)
    store.create_study(a_study("driven", content=CONTENT))
    store.create_study(a_study("many", content=CONTENT, n_trials=MANY))


fill = pytest.fixture(scope="module")(lambda: write)


@pytest.fixture(scope="module", autouse=True)
def more(file_engine: Engine) -> None:
    """Verify a student, and write the trials of the large study at once."""
    for seed in (1, 2):
        VerificationStore(file_engine).put("rich", a_verification(1, seed, 0.7 + seed / 100))
    columns = many_columns(MANY)
    plain = trial_row(a_trial()) | {"epochs_done": 10}
    with writing(file_engine) as connection:
        study = connection.execute(select(study_table.c.id).where(study_table.c.name == "many"))
        plain["study_id"] = study.scalar_one()
        rows = [
            plain
            | {
                "number": number,
                "state": ("WAITING", "RUNNING", "COMPLETE", "PRUNED", "FAIL")[state],
                "accuracy": None if accuracy != accuracy else accuracy,
                "loss": 0.1,
                "memory_ratio": ratio,
                "created_at": moment,
                "finished_at": moment,
                "updated_at": moment,
            }
            for number, state, accuracy, ratio, moment in zip(
                columns.number.tolist(),
                columns.state.tolist(),
                columns.accuracy.tolist(),
                columns.memory_ratio.tolist(),
                [moment.replace(tzinfo=UTC) for moment in columns.finished_at.tolist()],
                strict=True,
            )
        ]
        connection.execute(insert(trial_table), rows)


def filters(page: Page) -> None:
    """Unfold the filters."""
    page.locator("summary").filter(has_text="Filters").click()


def cards(page: Page) -> list[str]:
    return page.locator("#study-cards h3").all_inner_texts()


def test_a_click_on_a_mark_leads_to_the_trial(visit: Visit) -> None:
    page = visit.study("digits")
    click_trial(page, "study-chart", 12)
    card = page.locator(".trial-card")
    expect(card).to_contain_text("complete, on the front")
    expect(card).to_contain_text("Next smaller: trial 0: \N{MULTIPLICATION SIGN}1.41 smaller")
    expect(page).to_have_url(re.compile("trials=12"))
    expect(page.locator("#study-curves-summary")).to_contain_text("trial 12")
    # What the neighbour would be can be looked at beside it.
    card.get_by_role("button", name="trial 0").click()
    expect(page.locator(".trial-card")).to_have_count(2)
    click_trial(page, "study-chart", 12)
    expect(page.locator(".trial-card")).to_have_count(1)
    page.get_by_role("link", name="Trial 0").click()
    expect(page).to_have_url(re.compile(r"/study/trial\?name=digits&number=0$"))


def test_what_nothing_compresses_is_said(visit: Visit) -> None:
    facts = visit.study("rich").locator("#study-facts")
    expect(facts).to_contain_text(f"{UNCOMPRESSED}.")
    expect(visit.study("digits").locator("#study-facts")).not_to_contain_text("not compressed")


def test_a_link_carries_the_whole_view(visit: Visit) -> None:
    page = visit.study("digits")
    page.get_by_role("button", name="Select trial 27").click()
    page.get_by_role("combobox", name="Across").select_option("packed file in KB")
    filters(page)
    page.get_by_role("checkbox", name="failed").check()
    page.get_by_role("checkbox", name="the front only").check()
    expect(page).to_have_url(re.compile("size=packed_kb"))
    expect(page).to_have_url(re.compile("hide=FAIL"))
    expect(page.locator("#study-chart .legendtext")).to_have_count(1)
    seen = zoom_in(page, "study-chart")
    again = Visit(page.context.new_page(), visit.base)
    other = again.go(page.url.removeprefix(visit.base))
    other.wait_for_selector("#study-chart .main-svg")
    assert ranges(other, "study-chart") == pytest.approx(seen, abs=1e-4)
    assert cards(other) == ["Trial 27"]
    # The first page asks for a picture of what it zoomed to, which may be on its way.
    expect(page.locator("#study-chart .legendtext")).to_have_text(legend(other, "study-chart"))
    filters(other)
    expect(other.get_by_role("checkbox", name="failed")).to_be_checked()
    expect(other.get_by_role("combobox", name="Across")).to_have_value("packed_kb")
    expect(other).to_have_url(page.url)
    assert again.complaints == []


def test_a_running_study_is_followed_without_losing_zoom_or_selection(
    visit: Visit, writer: ResultStore
) -> None:
    page = visit.study("live&trials=1&hide=FAIL")
    seen = zoom_in(page, "study-chart")
    add_trial(writer, "live", 3)
    expect(page.locator("#study-state")).to_contain_text("4 of 8 trials", timeout=10_000)
    expect(page.locator("#study-course-summary")).to_contain_text("after 4 trials")
    expect(page.locator("#study-replay")).to_have_value("4")
    expect(page.locator("#study-table")).to_contain_text("87.08 %")
    assert ranges(page, "study-chart") == pytest.approx(seen, abs=1e-4)
    assert cards(page) == ["Trial 1"]
    expect(page.locator("#study-moment")).to_have_text("now")
    page.mouse.dblclick(*_middle(page))
    expect(page).not_to_have_url(re.compile("zoom="))


def test_the_state_is_said_while_a_study_runs_and_when_it_stops(
    visit: Visit, writer: ResultStore, file_engine: Engine
) -> None:
    held = lease.acquire(file_engine, "driven", holder="me", host="node7", pid=1)
    driver = ResultStore(file_engine, held)
    page = visit.go("/study?name=driven")
    state = page.locator("#study-state")
    expect(state.locator(".live")).to_have_text("running on node7")
    expect(state).to_contain_text("0 of 8 trials")
    begin = held.acquired_at
    for number in (0, 1, 2):
        ended = begin + timedelta(seconds=90 * number)
        trial = a_complete(number, 0.9, 0.05, created_at=begin, finished_at=ended)
        driver.put_trial("driven", trial)
    driver.put_trial("driven", a_trial(3, epochs_done=4, accuracy=0.875))
    expect(state).to_contain_text("3 of 8 trials1 min 30 s per trial7 min 30 s left")
    expect(state.get_by_role("list", name="Trials that run now")).to_contain_text(
        "trial 3epoch 4 of 1087.50 %"
    )
    lease.renew(file_engine, replace(held, waits_for="no node has room for a trial"))
    expect(state).to_contain_text("running on node7no node has room for a trial3 of 8 trials")
    lease.renew(file_engine, held)
    expect(state).to_contain_text("running on node73 of 8 trials")
    state.get_by_role("button", name="trial 3").click()
    expect(page.locator("#study-cards h3")).to_have_text(["Trial 3"])
    assert page.locator("#study-resume").count() == 0
    lease.release(file_engine, held)
    expect(state.get_by_text("stopped")).to_have_text(re.compile(r"stopped \d+ s ago"))
    expect(page.locator("#study-resume")).to_contain_text("resume driven")
    first = state.locator("time").first.inner_text()
    expect(state.locator("time").first).not_to_have_text(first)  # it counts on
    expect(state.get_by_role("list", name="Trials that wait for a driver")).to_be_visible()
    for number in range(3, 8):
        writer.put_trial("driven", a_complete(number, 0.9, 0.05))
    expect(state.locator("strong")).to_have_text("finished")


def test_a_limit_leads_to_one_student_and_its_command(visit: Visit) -> None:
    page = visit.study("digits")
    choice = page.locator("#study-choice")
    expect(choice).to_contain_text("Enter a limit")
    page.get_by_role("spinbutton", name="Bound").fill("15")
    expect(choice).to_contain_text(
        "Trial 27: the student with the highest expected accuracy whose packed file is at"
    )
    expect(choice).to_contain_text("Next smaller: trial 4: -1.")
    expect(page.locator("#study-choose-export")).to_contain_text(
        "export digits 27 student-27.safetensors"
    )
    page.get_by_role("combobox", name="Limit").select_option("points below the teacher, at most")
    expect(choice).to_contain_text("expected at most 15 points below the teacher's 97.50%")
    page.get_by_role("spinbutton", name="Bound").fill("0.01")
    expect(choice.get_by_role("alert")).to_contain_text(
        "No student is within this limit: the best student"
    )
    expect(page).to_have_url(re.compile(r"bound=0\.01&.*limit=within"))
    page.get_by_role("combobox", name="Limit").select_option("packed file, at most KB")
    page.get_by_role("spinbutton", name="Bound").fill("20")
    expect(page.locator("#study-chart .annotation-text")).to_contain_text(
        ["teacher 97.50 %", "at most 20 KB"]
    )


def test_the_inspector_steps_along_the_front_and_says_what_differs(visit: Visit) -> None:
    page = visit.study("digits&trials=27")
    selected = page.locator("#study-cards")
    expect(page.locator("#study-choose")).to_be_hidden()
    expect(selected).to_contain_text("number 12 of 13 on the front, smallest first")
    expect(page.locator("#study-export")).to_contain_text("export digits 27")
    selected.get_by_role("button", name="Previous: trial 4").click()
    expect(selected.locator("h3")).to_have_text("Trial 4")
    expect(page).to_have_url(re.compile("trials=4$"))
    # A selection of one goes on as a list.
    click_trial(page, "study-chart", 28)
    expect(selected.locator("h3")).to_have_text(["Trial 4", "Trial 28"])
    differs = selected.get_by_role("region", name="What differs")
    expect(differs.locator("tbody tr").nth(1)).to_contain_text("accuracy92.94 %97.86 %")
    expect(differs).to_contain_text("layer1.0.conv1")
    selected.get_by_role("button", name="Clear selection").click()
    expect(page.locator("#study-choose")).to_be_visible()
    expect(page).not_to_have_url(re.compile("trials="))


@pytest.mark.view(viewport={"width": 1440, "height": 900})
def test_from_1200_pixels_the_inspector_stands_beside_the_chart(visit: Visit) -> None:
    page = visit.study("digits&trials=27")
    chart, inspector = page.locator("figure.chart").first, page.locator(".inspector")
    left, right = chart.bounding_box(), inspector.bounding_box()
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] < right["x"]
    assert left["width"] / (left["width"] + right["width"]) == pytest.approx(0.6, abs=0.01)
    page.set_viewport_size({"width": 1100, "height": 900})
    below = inspector.bounding_box()
    assert below is not None
    assert below["y"] > left["y"] + 100
    assert below["x"] == left["x"]


def _middle(page: Page) -> tuple[float, float]:
    plot = page.locator("#study-chart .nsewdrag").first.bounding_box()
    assert plot is not None
    return plot["x"] + plot["width"] / 2, plot["y"] + plot["height"] / 2


def test_a_replay_goes_back_in_time_and_plays(visit: Visit) -> None:
    page = visit.study("digits&until=10")
    expect(page.locator("#study-moment")).to_contain_text("after 10 of 40 trials")
    early = ranges(page, "study-chart")
    slider = page.get_by_role("slider", name="Replay")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#study-moment")).to_contain_text("after 9 of 40 trials")
    page.keyboard.press("End")
    expect(page.locator("#study-moment")).to_have_text("now")
    expect(page).not_to_have_url(re.compile("until"))
    assert ranges(page, "study-chart") == early
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator("#study-moment")).to_contain_text("of 40 trials")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


#: Counts how often the page puts its view together, in ``window.views``.
_COUNT_VIEWS = """() => {
  const { frame } = window.dash_clientside;
  const view = frame.view;
  window.views = 0;
  frame.view = (...values) => {
    window.views += 1;
    return view(...values);
  };
}"""


def test_another_finished_trial_is_no_other_view(visit: Visit, writer: ResultStore) -> None:
    page = visit.study("live")
    slider = page.get_by_role("slider", name="Replay")
    last = int(slider.input_value())
    page.evaluate(_COUNT_VIEWS)
    add_trial(writer, "live", 16 + last)
    expect(slider).to_have_value(str(last + 1))
    expect(page.locator("#study-course-summary")).to_contain_text(f"after {last + 1} trials")
    assert page.evaluate("window.views") == 0
    # Where the replay is moved, it is another.
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile(f"until={last}"))
    assert page.evaluate("window.views") == 1


def test_what_has_the_focus_keeps_it(visit: Visit) -> None:
    page = visit.study("digits")
    focused = page.locator("#study-table :focus")
    page.get_by_role("button", name="Select trial").first.focus()
    page.keyboard.press("Enter")
    expect(focused).to_have_accessible_name(re.compile("Remove trial"))
    page.keyboard.press("Enter")
    expect(focused).to_have_accessible_name(re.compile("Select trial"))
    page.locator("#study-table").get_by_role("button", name="accuracy").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#study-table th[aria-sort=ascending]")).to_have_text(re.compile("accur"))
    expect(focused).to_have_text(re.compile("accuracy"))
    filters(page)
    page.get_by_role("checkbox", name="the front only").check()
    page.get_by_role("button", name="Next rows of Trials").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#study-table")).to_contain_text("11 to 13 of 13 rows")
    page.keyboard.press("Shift+Tab")  # Next is now disabled, and its neighbour is not
    expect(focused).to_have_accessible_name("Previous rows of Trials")


def test_all_rows_are_downloaded(visit: Visit) -> None:
    page = visit.study("digits")
    expect(page.locator("#study-table tbody tr")).to_have_count(10)

    def saved(kind: str) -> str:
        with page.expect_download() as download:
            page.locator("#study-table").get_by_role("link", name=kind).click()
        return download.value.path().read_text()

    rows = list(csv.DictReader(io.StringIO(saved("CSV"))))
    assert sorted(int(row["trial"]) for row in rows) == list(range(40))
    assert {row["state"] for row in rows} == {"COMPLETE", "PRUNED", "FAIL"}
    known = [float(row["accuracy"]) for row in rows if row["accuracy"]]
    assert known == sorted(known, reverse=True)
    filters(page)
    page.get_by_role("checkbox", name="the front only").check()
    expect(page.locator("#study-table")).to_contain_text("1 to 10 of 13 rows")
    front = json.loads(saved("JSON"))
    assert len(front) == 13
    assert set(front[0]["settings"]["stem"]) == {2, 3, 6}


#: Numbers of the trials that have a mark, and where front and line are to the right.
_DRAWN = """() => {
  const traces = document.querySelector("#study-chart .js-plotly-plot").data;
  const marks = traces.filter(({ mode }) => mode === "markers");
  return {
    numbers: marks.flatMap(({ customdata }) => customdata || []).map(([number]) => number),
    front: traces.find(({ name }) => name?.startsWith("front")).x,
    line: traces.find(({ mode }) => mode === "lines").x,
  };
}"""


def test_one_filter_is_for_all_and_is_taken_back_by_its_chip(visit: Visit) -> None:
    narrow = "digits&accuracy-from=90&hide=PRUNED&only=front&until=30&trials=7&trials=28"
    page = visit.study(narrow)
    filters(page)
    table, chips = page.locator("#study-table"), page.locator("#study-chips")
    summary = page.locator("#study-chart-summary")
    expect(summary).to_contain_text("Shown: 3 complete. On the front are 3 trials, from 92.94 %")
    expect(table).to_contain_text("3 rows")
    expect(chips).to_contain_text("3 of 40 trials:")
    drawn = page.evaluate(_DRAWN)
    assert sorted(drawn["numbers"]) == [4, 27, 28]
    assert drawn["line"] == drawn["front"]
    expect(page.locator("#study-cards")).to_contain_text("Trial 7 is selected, but the filters")
    assert cards(page) == ["Trial 28"]
    with page.expect_download() as download:
        table.get_by_role("link", name="JSON").click()
    found = json.loads(download.value.path().read_text())
    assert [row["trial"] for row in found] == [28, 27, 4]
    # Taken back one by one, and then all at once.
    chips.get_by_role("button", name="the front only").click()
    expect(page.get_by_role("checkbox", name="the front only")).not_to_be_checked()
    expect(page).not_to_have_url(re.compile("only="))
    chips.get_by_role("button", name="accuracy from 90 %").click()
    expect(page.get_by_role("spinbutton", name="from").first).to_have_value("")
    expect(page.locator("#study-cards h3")).to_have_count(2)
    chips.get_by_role("button", name="Clear all").click()
    expect(chips).to_be_hidden()
    expect(page.locator("#study-moment")).to_have_text("now")
    expect(page.get_by_role("checkbox", name="stopped early")).not_to_be_checked()
    expect(table).to_contain_text("1 to 10 of 40 rows")
    expect(page).to_have_url(re.compile(r"\?name=digits&trials=7&trials=28$"))
    # Without what is complete there is neither a front nor its line.
    empty = visit.study("digits&hide=COMPLETE")
    expect(empty.locator("#study-chart-summary")).to_contain_text(
        "Shown: 5 stopped early, 5 failed."
    )
    assert empty.evaluate(_DRAWN)["line"] == []


def test_a_chart_is_saved_as_a_picture(visit: Visit) -> None:
    page = visit.study("digits")
    for kind, begin in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Save Accuracy against size as {kind}").click()
        assert download.value.suggested_filename == f"digits-front.{kind.lower()}"
        assert download.value.path().read_bytes().startswith(begin)


def test_what_a_study_is_compared_with_is_drawn(visit: Visit) -> None:
    page = visit.study("rich")
    assert "planned (2)" not in legend(page, "study-chart")
    filters(page)
    page.get_by_role("checkbox", name="the planned front").check()
    expect(page.locator("#study-chart .legendtext")).to_contain_text(["planned (2)"])
    expect(page).to_have_url(re.compile("planned=front"))
    expect(page.locator("#study-chart .annotation-text").last).to_have_text(
        "predicted damage of the plan"
    )
    # Taken back, the trials have the chart for themselves.
    low = "document.querySelector('#study-chart .js-plotly-plot')._fullLayout.yaxis.domain[0]"
    assert page.evaluate(low) > 0.2
    page.get_by_role("checkbox", name="the planned front").uncheck()
    expect(page.locator("#study-chart .legendtext", has_text="planned")).to_have_count(0)
    assert page.evaluate(low) == 0
    page.get_by_role("checkbox", name="the planned front").check()
    expect(page.locator("#study-chart .legendtext")).to_contain_text(["planned (2)"])
    assert legend(page, "study-chart")[-3:] == [
        "planned (2)",
        "reported by others (1)",
        "verified on the test part (1)",
    ]


def test_verified_results_lead_the_table_and_no_axis_is_called_validation(visit: Visit) -> None:
    page = visit.study("rich&accuracy=percent&trials=1")
    table = page.locator("#study-table")
    heads = table.locator("thead th")
    expect(heads.filter(has_text="test accuracy")).to_have_attribute("aria-sort", "descending")
    expect(heads.filter(has_text="on the front")).to_have_count(1)
    spread = "71.50 \N{PLUS-MINUS SIGN} 0.71 %"
    expect(table.locator("tbody tr").first).to_contain_text(spread)
    expect(table.locator("tbody th").first).to_have_text("1")
    expect(page.locator("#study-chart .ytitle")).to_have_text("accuracy")
    expect(page.locator(".trial-card")).to_contain_text(
        f"verified: {spread} on the test part, 2 seeds, on the front with"
    )
    # By its accuracy on the validation part it is not the first.
    table.get_by_role("button", name="accuracy", exact=True).click()
    expect(table.locator("tbody th").first).not_to_have_text("1")
    # Of a study without a verified trial the axis is that part's.
    plain = visit.study("digits&accuracy=percent")
    expect(plain.locator("#study-chart .ytitle")).to_have_text("validation accuracy")


def test_without_a_complete_trial_a_sentence_says_what_to_do(visit: Visit) -> None:
    page = visit.go("/study?name=failing")
    expect(page.locator("#study-facts")).to_contain_text("see below why trials failed")
    expect(page.locator("#study-failures")).to_be_hidden()
    page.get_by_role("definition").get_by_role("link", name="1").click()
    expect(page.locator("#study-failures-title")).to_have_text("1 failed trial")
    expect(page.locator("#study-failures-title")).to_be_focused()
    expect(page.locator("#study-failures")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("#study-failures img").count() == 0
    page = visit.go("/study?name=empty")
    expect(page.locator("#study-resume")).to_contain_text("resume empty")


@pytest.mark.view(viewport={"width": 400, "height": 800}, color_scheme="dark")
def test_a_narrow_dark_page_is_no_wider_than_its_window(visit: Visit) -> None:
    page = visit.study("digits&trials=12&accuracy-from=50")
    filters(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    expect(page.get_by_role("spinbutton", name="from").first).to_have_value("50")


def test_ten_thousand_trials_open_and_are_few_elements(visit: Visit) -> None:
    page = visit.study("many")
    expect(page.locator("#study-state")).to_contain_text("finished10,000 of 10,000 trials")
    assert page.locator("#study-chart .heatmaplayer image").count() == 2
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    expect(page.locator("#study-table")).to_contain_text("1 to 10 of 10,000 rows")
    zoom_in(page, "study-chart")

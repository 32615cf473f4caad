"""The page of a study by keyboard, by hyperparameters, and by the browser's Back."""

import json
import re
from dataclasses import replace

import optuna
import pytest
from optuna.distributions import FloatDistribution
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import Engine

from dashboard.pages.study.view import MOST_SELECTED
from mlgsearch.records import BUDGET_KB
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.search.optuna_storage import open_optuna_storage
from tests.dashboard.layered import a_layered_study, layered_study
from tests.dashboard.marks import click_trial, legend
from tests.dashboard.serving import Visit
from tests.results.samples import a_complete, a_study

#: The focused element, and whether it is in a row of a table.
_IN_A_ROW = "document.activeElement.closest('#study-table tbody tr') !== null"


def write(store: ResultStore) -> None:
    drawn = layered_study(store, "source", trials=40)
    store.create_study(
        replace(
            a_layered_study("tuned", "resnet20", 40),
            teacher_accuracy=0.95,
            objectives=("accuracy", "memory_ratio", "latency_ms"),
        )
    )
    for trial in drawn:
        rate = 10 ** (-4 + trial.number / 20)
        knobs = {"rate": rate, "optimiser": ("sgd", "adam")[trial.number % 2]}
        latency = 1.0 + trial.number / 10
        store.put_trial("tuned", replace(trial, hyperparameters=knobs, latency_ms=latency))
    content = {"space": {"kind": "allocation"}}
    store.create_study(replace(a_layered_study("planned", "resnet20", 40), content=content))
    for trial in drawn:
        knobs = {"quantisation.norm_bits": (16, 32)[trial.number % 2], "rate": trial.number}
        store.put_trial("planned", replace(trial, hyperparameters=knobs))


fill = pytest.fixture(scope="module")(lambda: write)


@pytest.fixture(scope="module", autouse=True)
def budgets(file_engine: Engine) -> None:
    """Write what each trial of a study was planned within, where the search keeps it."""
    storage = open_optuna_storage(file_engine)
    trials = optuna.create_study(storage=storage, study_name="planned")
    for number in range(40):
        budget, wide = 10.0 + number, FloatDistribution(1, 100, log=True)
        trial = optuna.trial.create_trial(
            value=1.0, params={BUDGET_KB: budget}, distributions={BUDGET_KB: wide}
        )
        trials.add_trial(trial)
    storage.remove_session()
    storage.engine.dispose()


def test_the_first_trial_is_few_tab_stops_away(visit: Visit) -> None:
    page = visit.study("tuned")
    stops = 0
    while not page.evaluate(_IN_A_ROW):
        page.keyboard.press("Tab")
        stops += 1
        assert stops < 15
        if page.evaluate("document.activeElement.textContent") == "To the trials":
            page.keyboard.press("Enter")
    expect(page.locator("#study-table tbody a").first).to_be_focused()


def test_back_takes_back_the_last_selection(visit: Visit) -> None:
    page = visit.study("tuned")
    cards = page.locator("#study-cards h3")
    click_trial(page, "study-chart", 3)
    expect(cards).to_have_text(["Trial 3"])
    page.get_by_role("button", name="Select trial").first.click()
    expect(cards).to_have_count(2)
    chart = page.locator("#study-chart .main-svg").first.element_handle()
    page.go_back()
    expect(cards).to_have_text(["Trial 3"])
    expect(page).to_have_url(re.compile(r"name=tuned&trials=3$"))
    page.go_back()
    expect(page.locator("#study-choose")).to_be_visible()
    expect(page).to_have_url(re.compile(r"name=tuned$"))
    page.go_forward()
    expect(cards).to_have_text(["Trial 3"])
    # All on the page that was there.
    assert chart is not None
    assert chart.evaluate("drawing => drawing.isConnected")


def test_colour_and_axis_are_hyperparameters(visit: Visit) -> None:
    page = visit.study("tuned")
    page.get_by_role("combobox", name="Colour by").select_option("optimiser")
    expect(page.locator("#study-chart .legendtext")).to_contain_text(
        [re.compile(r"optimiser (adam|sgd) \(\d+\)")] * 2
    )
    page.get_by_role("combobox", name="Colour by").select_option("predicted latency in ms")
    expect(page.locator("#study-chart .legendtext").first).to_have_text(
        re.compile(r"predicted latency in ms below \d")
    )
    page.get_by_role("combobox", name="Across").select_option("rate")
    expect(page.locator("#study-chart .xtitle")).to_have_text("rate (log scale)")
    expect(page).to_have_url(re.compile(r"size=h\.rate"))
    assert any(name.startswith("front") for name in legend(page, "study-chart"))
    assert not any("most accurate by" in name for name in legend(page, "study-chart"))


def test_accuracy_is_points_below_the_teacher_or_percent(visit: Visit) -> None:
    page = visit.study("tuned")
    title = page.locator("#study-chart .ytitle")
    expect(title).to_have_text("points below the teacher (log scale)")
    page.get_by_role("combobox", name="Accuracy").select_option("percent")
    expect(title).to_have_text("validation accuracy")
    expect(page).to_have_url(re.compile("accuracy=percent"))


def test_a_third_objective_is_said_and_has_a_column(visit: Visit) -> None:
    page = visit.study("tuned")
    expect(page.locator("#study-chart-summary")).to_contain_text(
        "The front is of 3 objectives: validation accuracy, memory ratio and predicted latency in"
    )
    heads = page.locator("#study-table thead th")
    expect(heads.filter(has_text="predicted latency in ms")).to_have_count(1)
    page.get_by_role("combobox", name="Across").select_option("predicted latency in ms")
    expect(page.locator("#study-chart .xtitle")).to_contain_text("predicted latency")


def test_columns_are_chosen_and_sorted_by(visit: Visit) -> None:
    page = visit.study("tuned")
    page.locator("summary").filter(has_text="Columns").click()
    page.get_by_role("checkbox", name="rate").check()
    page.get_by_role("checkbox", name="optimiser").check()
    table = page.locator("#study-table")
    table.get_by_role("button", name="rate", exact=True).click()
    expect(table.locator("tbody tr").first).to_contain_text("0.008913")
    expect(table.locator("tbody tr").first.locator("th")).to_have_text("39")
    expect(page).to_have_url(re.compile(r"columns=h\.rate&columns=h\.optimiser"))
    with page.expect_download() as download:
        table.get_by_role("link", name="CSV").click()
    assert "h.rate,h.optimiser" in download.value.path().read_text().splitlines()[0]


def test_a_trial_is_gone_to_and_its_row_selects_it(visit: Visit) -> None:
    page = visit.study("tuned")
    page.get_by_role("spinbutton", name="Go to trial").fill("17")
    row = page.locator("#study-table tr.found")
    expect(row.locator("th")).to_have_text("17")
    expect(page).to_have_url(re.compile("find=17"))
    row.locator("td").nth(1).click()
    expect(page.locator("#study-cards h3")).to_have_text("Trial 17")
    expect(row).to_have_class(re.compile("selected"))
    expect(page.locator("#study-chart .textpoint")).to_have_text(["17"])
    row.locator("td").nth(1).click()
    expect(page.locator("#study-choose")).to_be_visible()
    # A filter that hides it says so, and is removed where it is said.
    filters = page.locator("summary").filter(has_text="Filters")
    filters.click()
    page.get_by_role("spinbutton", name="from").nth(1).fill("0.9")
    page.get_by_role("checkbox", name="failed").check()
    said = page.locator("#study-left-out")
    expect(said).to_contain_text("Trial 17 is left out by a filter; remove it:")
    said.get_by_role("button", name="memory ratio from 0.9").click()
    expect(said).to_be_hidden()
    expect(row.locator("th")).to_have_text("17")
    page.get_by_role("spinbutton", name="Go to trial").fill("99")
    expect(said).to_have_text("This study has no trial 99.")
    page.get_by_role("spinbutton", name="Go to trial").fill("17")
    expect(said).to_be_hidden()
    # The next page is the next page.
    page.locator("button[data-resets=find]:enabled").first.click()
    expect(row).to_have_count(0)
    expect(page).not_to_have_url(re.compile("find="))


@pytest.mark.parametrize(
    "_size",
    [
        pytest.param(width, marks=pytest.mark.view(viewport={"width": width, "height": 800}))
        for width in (1280, 400)
    ],
)
def test_what_is_selected_out_of_view_is_said_at_the_windows_foot(visit: Visit, _size: int) -> None:
    page = visit.study("tuned")
    line, cards = page.locator("#study-picked"), page.locator("#study-cards h3")
    row = page.locator("#study-table tbody tr").last
    row.evaluate("element => element.scrollIntoView({ block: 'start' })")
    expect(line).to_be_hidden()
    row.locator("td").nth(1).click()
    number = row.locator("th").inner_text()
    said = re.compile(rf"^Selected:Trial {number}, \d\d\.\d\d %, (not )?on the front")
    expect(line).to_have_text(said)
    expect(line).to_be_in_viewport(ratio=1)
    expect(cards).not_to_be_in_viewport()
    line.get_by_role("link").click()
    expect(cards).to_be_in_viewport()
    expect(page.locator("#study-cards button").first).to_be_focused()
    expect(line).to_be_hidden()


def test_latency_is_a_limit_where_it_is_known(visit: Visit) -> None:
    page = visit.study("tuned")
    page.get_by_role("combobox", name="Limit").select_option("predicted latency, at most ms")
    page.get_by_role("spinbutton", name="Bound").fill("3")
    expect(page.locator("#study-choice")).to_contain_text(
        "the student with the highest expected accuracy whose predicted latency is at most 3 ms"
    )
    other = visit.go("/study?name=source")
    assert "latency" not in other.get_by_role("combobox", name="Limit").inner_text()


@pytest.mark.view(viewport={"width": 400, "height": 800})
@pytest.mark.parametrize(
    ("search", "what", "below"),
    # At the top of the table, and between the titles of the chart's axes and its foot.
    [("", "#study-table .scroll", 4), ("&chart=parallel", "#study-lines .scroll", 444)],
)
def test_what_scrolls_has_a_shadow(visit: Visit, search: str, what: str, below: int) -> None:
    page = visit.go(f"/study?name=tuned{search}")
    expect(page.locator(".main-svg .legend:visible").first).to_be_visible()
    table = page.locator(what)
    table.evaluate("element => element.scrollIntoView({ block: 'center' })")

    def edges() -> tuple[bytes, bytes]:
        box = table.bounding_box()
        assert box is not None
        top, end = box["y"] + below, box["x"] + box["width"] - 6
        left = page.screenshot(clip={"x": box["x"], "y": top, "width": 6, "height": 2})
        right = page.screenshot(clip={"x": end, "y": top, "width": 6, "height": 2})
        return left, right

    before = edges()
    table.evaluate("element => { element.scrollLeft = element.scrollWidth; }")
    page.wait_for_timeout(200)
    after = edges()
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_stars_and_notes_stay_in_the_browser_and_are_exported(visit: Visit) -> None:
    page = visit.study("tuned&trials=3&find=3")
    page.get_by_role("button", name="Star trial 3").click()
    page.get_by_role("textbox", name="Note").fill("<b>ship</b> this one")
    marked = page.locator("#study-table tr[data-starred=star] th")
    expect(marked).to_have_text("3")
    page.reload()
    expect(page.get_by_role("button", name="Star trial 3")).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(page.get_by_role("textbox", name="Note")).to_have_value("<b>ship</b> this one")
    expect(marked).to_have_text("3")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export stars and notes").click()
    assert json.loads(download.value.path().read_text()) == [
        {"study": "tuned", "trial": 3, "star": True, "note": "<b>ship</b> this one"}
    ]
    page.get_by_role("button", name="Star trial 3").click()
    page.get_by_role("textbox", name="Note").fill("")
    expect(page.locator("#study-table tr[data-starred=star]")).to_have_count(0)
    kept = json.loads(page.evaluate("window.localStorage.getItem('mlgsearch.notes')"))
    assert list(kept.values()) == [{}]


def test_another_study_of_the_name_has_notes_of_its_own(visit: Visit, writer: ResultStore) -> None:
    def write() -> None:
        writer.create_study(a_study("again"))
        writer.put_trial("again", a_complete(0, 0.9, 0.05))

    write()
    page = visit.go("/study?name=again&trials=0")
    # As they were kept by the name alone.
    old = {"again": {"0": {"star": True, "note": "ship"}}}
    page.evaluate("(old) => window.localStorage.setItem('mlgsearch.notes', old)", json.dumps(old))
    page.reload()
    expect(page.get_by_role("textbox", name="Note")).to_have_value("ship")
    star = page.get_by_role("button", name="Star trial 0")
    expect(star).to_have_attribute("aria-pressed", "true")
    writer.delete_study("again")
    write()
    page.reload()
    expect(star).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("textbox", name="Note")).to_have_value("")
    kept = json.loads(page.evaluate("window.localStorage.getItem('mlgsearch.notes')"))
    assert list(kept.values()) == list(old.values())
    assert list(kept) != list(old)


@pytest.mark.parametrize("tool", ["Box Select", "Lasso Select"])
def test_a_box_or_a_lasso_selects_several(visit: Visit, tool: str) -> None:
    page = visit.study("tuned")
    # Around the upper right, and back for the lasso.
    _around(page, tool, [(0.99, 0.02), (0.6, 0.02), (0.6, 0.6), (0.99, 0.6)])
    expect(page).to_have_url(re.compile(r"trials=\d+&trials=\d+"))
    differs = page.get_by_role("region", name="What differs")
    expect(differs).to_contain_text("Hyperparameters")
    assert 2 <= page.locator("#study-cards h3").count() <= MOST_SELECTED


def test_of_too_many_the_front_comes_first_and_the_last_one_stays(visit: Visit) -> None:
    page = visit.study("tuned&trials=1&trials=0")
    _around(page, "Box Select", [(0.01, 0.01), (0.99, 0.99)])
    cards = page.locator("#study-cards")
    expect(cards).to_contain_text(f"{MOST_SELECTED} trials, the most at once: another one takes")
    expect(cards.locator("article", has_text="on the front")).to_have_count(MOST_SELECTED)
    first = cards.locator("h3").first.inner_text()
    unselected = page.locator("#study-table tbody").get_by_role("button", name="Select trial")
    number = unselected.first.get_attribute("data-value")
    unselected.first.click()
    expect(cards.locator("h3").last).to_have_text(f"Trial {number}")
    expect(cards.locator("h3")).to_have_count(MOST_SELECTED)
    expect(cards.locator("h3", has_text=re.compile(f"^{first}$"))).to_have_count(0)
    expect(page).to_have_url(re.compile(rf"^[^&]*(&trials=\d+){{{MOST_SELECTED}}}$"))


def _around(page: Page, tool: str, corners: list[tuple[float, float]]) -> None:
    """Drag a tool of the chart along places, as shares of its width and height."""
    page.locator("#study-chart").hover()
    page.locator(f"#study-chart .modebar-btn[data-title='{tool}']").click()
    plot = page.locator("#study-chart .nsewdrag").first.bounding_box()
    assert plot is not None
    places = [(plot["x"] + plot["width"] * x, plot["y"] + plot["height"] * y) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def test_the_limits_line_is_dragged(visit: Visit) -> None:
    page = visit.study("tuned&limit=max_ratio&bound=0.1")
    bound = page.get_by_role("spinbutton", name="Bound")
    box = page.locator("#study-chart .shapelayer path").last.bounding_box()
    assert box is not None
    _drag(page, page.locator("#study-chart .shapelayer path").last, -60, 0)
    expect(bound).not_to_have_value("0.1")
    least = float(bound.input_value())
    assert 0.01 < least < 0.1
    expect(page.locator("#study-choice")).to_contain_text(f"memory ratio is at most {least:g}")
    expect(page.locator("#study-chart .annotation-text").last).to_have_text(f"at most {least:g}")
    moved = page.locator("#study-chart .shapelayer path").last.bounding_box()
    assert moved is not None
    assert moved["x"] == pytest.approx(box["x"] - 60, abs=4)
    assert moved["height"] == pytest.approx(box["height"], abs=1)


def test_a_limit_in_kilobytes_is_a_line_that_is_dragged_and_its_student_has_a_ring(
    visit: Visit,
) -> None:
    page = visit.study("tuned")
    bound = page.get_by_role("spinbutton", name="Bound")
    bound.fill("100")
    expect(page.get_by_role("combobox", name="Across")).to_have_value("packed_kb")
    expect(page.locator("#study-chart .xtitle")).to_have_text("packed file in KB (log scale)")
    line = page.locator("#study-chart .shapelayer path").last
    chosen = page.locator("#study-choice button").first
    ring = page.locator("#study-chart .legendtext", has_text="chosen")
    expect(page.locator("#study-chart .annotation-text").last).to_have_text("at most 100 KB")
    expect(ring).to_have_text(f"chosen: {chosen.inner_text().lower()}")
    _drag(page, line, -60, 0)
    expect(bound).not_to_have_value("100")
    least = float(bound.input_value())
    assert 20 < least < 100
    expect(page.locator("#study-choice")).to_contain_text(f"is at most {least:g} KB")
    expect(page.locator("#study-chart .annotation-text").last).to_have_text(f"at most {least:g} KB")
    expect(ring).to_have_text(f"chosen: {chosen.inner_text().lower()}")
    # Another axis can be looked at all the same, until the bound is another.
    page.get_by_role("combobox", name="Across").select_option("memory ratio")
    expect(page.locator("#study-chart .xtitle")).to_have_text("memory ratio (log scale)")
    expect(line).to_have_count(1)  # the teacher's
    expect(ring).to_have_count(1)


@pytest.mark.parametrize("scale", ["", "&accuracy=percent"])
def test_a_limit_below_the_teacher_is_dragged(visit: Visit, scale: str) -> None:
    page = visit.study(f"tuned&limit=within&bound=5{scale}")
    bound = page.get_by_role("spinbutton", name="Bound")
    said = page.locator("#study-chart .annotation-text").last
    expect(said).to_have_text("within 5 of the teacher")
    _drag(page, page.locator("#study-chart .shapelayer path").last, 0, 40)
    expect(bound).not_to_have_value("5")
    most = float(bound.input_value())
    assert 5 < most < 30
    expect(page.locator("#study-choice")).to_contain_text(f"at most {most:g} points below")
    expect(said).to_have_text(f"within {most:g} of the teacher")


def _drag(page: Page, line: Locator, right: float, down: float) -> None:
    box = line.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=4)
    page.mouse.up()


#: A place on a trial's line in the parallel coordinates, between its last two axes.
_BETWEEN = """(number) => {
  const graph = document.querySelector("#study-parallel .js-plotly-plot");
  const { xaxis, yaxis } = graph._fullLayout;
  const { left, top } = graph.getBoundingClientRect();
  const is_its = (mark) => mark?.[0] === number;
  const trace = graph.data.find(({ customdata }) => customdata?.some(is_its));
  const at = trace.customdata.findLastIndex(is_its);
  const between = (values) => 0.3 * values[at - 1] + 0.7 * values[at];
  return [left + xaxis._offset + xaxis.d2p(between(trace.x)),
    top + yaxis._offset + yaxis.d2p(between(trace.y))];
}"""


def test_parallel_coordinates_are_a_view_whose_lines_select(visit: Visit) -> None:
    page = visit.study("tuned")
    page.get_by_role("combobox", name="Chart").select_option("parallel coordinates")
    chart = page.locator("#study-parallel")
    expect(chart.locator(".main-svg .legend")).to_be_visible()
    expect(page.locator("#study-chart")).to_be_hidden()
    expect(page).to_have_url(re.compile("chart=parallel"))
    summary = page.locator("#study-parallel-summary")
    expect(summary).to_contain_text("40 lines, one per trial with an accuracy; 17 are on")
    expect(chart.locator(".xtick")).to_have_text(
        ["rate", "optimiser", "conv1", "layer1", "layer2", "layer3", "memoryratio",
         "predictedlatency inms", "pointsbelow theteacher"]
    )  # fmt: skip
    assert chart.locator(".gl-container canvas").count() == 0
    # On the line, far from its points; once more takes it out.
    best = page.locator("#study-table tbody th").first.inner_text()
    chart.scroll_into_view_if_needed()
    place = page.evaluate(_BETWEEN, int(best))
    page.mouse.move(*place)
    expect(chart.locator(".under-pointer")).to_have_count(1)
    page.mouse.move(0, 0)
    expect(chart.locator(".under-pointer")).to_have_count(0)
    page.mouse.click(*place)
    expect(page.locator("#study-cards h3")).to_have_text([f"Trial {best}"])
    expect(chart.locator(".legendtext").last).to_have_text(f"trial {best}")
    page.mouse.click(*page.evaluate(_BETWEEN, int(best)))
    expect(page.locator("#study-choose")).to_be_visible()
    page.get_by_role("combobox", name="Colour by").select_option("optimiser")
    expect(chart.locator(".legendtext")).to_have_text([re.compile("optimiser (sgd|adam)")] * 2)
    again = visit.go("/study?name=tuned&chart=parallel&only=front")
    expect(again.locator("#study-parallel-summary")).to_contain_text(
        "17 lines, one per trial with an accuracy; 17 are on"
    )
    again.get_by_role("combobox", name="Chart").select_option("accuracy against size")
    expect(again.locator("#study-chart .main-svg .legend")).to_be_visible()
    expect(again.locator("#study-lines")).to_be_empty()


_LANES = """() => {
  const boxes = [...document.querySelectorAll("#study-parallel .xtick text")]
    .map((heading) => heading.getBoundingClientRect());
  const place = document.querySelector("#study-lines .drawing");
  return {
    gaps: boxes.slice(1).map(({ left }, at) => left - boxes[at].right),
    hidden: place.scrollWidth - place.clientWidth,
    cut: boxes.at(-1).right - place.getBoundingClientRect().right,
  };
}"""


def test_a_budget_is_the_first_of_ten_lanes_that_stand_apart(visit: Visit) -> None:
    page = visit.go("/study?name=planned&chart=parallel&size=packed_kb")
    chart = page.locator("#study-parallel")
    expect(chart.locator(".main-svg .legend")).to_be_visible()
    expect(chart.locator(".xtick")).to_have_text(
        ["budget inKB", "norm_bits", "rate", "conv1", "layer1", "layer2", "layer3",
         "packed filein KB", "memoryratio", "pointsbelow theteacher"]
    )  # fmt: skip
    found = page.evaluate(_LANES)
    assert min(found["gaps"]) > 0
    assert found["hidden"] == 0
    assert found["cut"] < 0

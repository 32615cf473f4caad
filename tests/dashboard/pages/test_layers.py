"""The pages of layers and of importance in a real browser."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from dashboard.charts.layers.layers_chart import MOST_COLUMNS
from mlgsearch.records import TrialState
from mlgsearch.results.database.store import ResultStore
from tests.dashboard.layered import NETWORKS, a_layered_study, layered_study
from tests.dashboard.serving import Visit
from tests.results.samples import a_complete, a_study, a_trial

NASTY = "=<b>R&D</b>"
_CELL = """([column, row]) => {
  const graph = document.querySelector("#layers-chart .js-plotly-plot");
  const { xaxis, yaxis } = graph._fullLayout;
  const { left, top } = graph.getBoundingClientRect();
  return [left + xaxis._offset + xaxis.d2p(column), top + yaxis._offset + yaxis.d2p(row)];
}"""
_UNTIL_DRAWN = """async (column) => {
  const graph = document.querySelector("#layers-chart .js-plotly-plot");
  for (const end = Date.now() + 90_000; Date.now() < end && !graph.data[0].x.includes(column); ) {
    await new Promise(requestAnimationFrame);
  }
}"""
_TRIALS = """() => document.querySelector("#layers-chart .js-plotly-plot").data[0].x"""


def write(store: ResultStore) -> None:
    drawn = layered_study(store, NASTY, trials=60)
    store.create_study(a_layered_study("steered", "resnet20", 60))
    for trial in drawn:
        # The rate is drawn apart from the layers, and moves most.
        rate = -4 + (trial.number * 37 % 60) / 20
        accuracy = (trial.accuracy or 0) - 0.1 * (rate + 4)
        knobs = {"training.learning_rate": 10**rate}
        moved = replace(trial, accuracy=accuracy, hyperparameters=knobs)
        store.put_trial("steered", moved)
    layered_study(store, "few", trials=30)
    layered_study(store, "deep", network="densenet121", trials=20)
    store.create_study(a_study("uniform", content={"space": {"kind": "uniform"}}))
    for number in range(9):
        five = (1 + number % 3, 8 * (1 + number // 3), 4, 4, 4)
        trial = a_complete(number, 0.5 + number / 30, 0.01 + number / 100)
        store.put_trial("uniform", trial.__class__(**vars(trial) | {"settings": {"c": five}}))
    store.create_study(a_study("early"))
    store.put_trial("early", a_trial(0, state=TrialState.RUNNING))


fill = pytest.fixture(scope="module")(lambda: write)


def trials_drawn(page: Page) -> list[int]:
    return [int(name.removeprefix("trial ")) for name in page.evaluate(_TRIALS)]


def test_a_column_leads_to_its_trial(visit: Visit) -> None:
    page = visit.go(f"/study/layers?name={NASTY.replace('&', '%26')}")
    expect(page.locator("#layers-chart .heatmaplayer image").first).to_be_attached()
    drawn = trials_drawn(page)
    x, y = page.evaluate(_CELL, [1, 3])
    page.mouse.move(x - 1, y)
    page.mouse.move(x, y)
    expect(page.locator("#layers-chart .hovertext")).to_contain_text("layer1.1.conv1")
    page.mouse.click(x, y)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Trial {drawn[1]} of {NASTY}")


#: By how many pixels each heading is left of the next one's end, and what is left of the chart.
_HEADINGS = """() => {
  const boxes = [...document.querySelectorAll("#layers-chart .xtick text")]
    .map((heading) => heading.getBoundingClientRect()).sort((a, b) => a.left - b.left);
  const place = document.querySelector(".drawing:has(#layers-chart)");
  return {
    gaps: boxes.slice(1).map(({ left }, at) => left - boxes[at].right),
    hidden: place.scrollWidth - place.clientWidth,
  };
}"""


@pytest.mark.view(viewport={"width": 400, "height": 800})
@pytest.mark.parametrize("name", [NASTY.replace("&", "%26"), "deep"])
def test_on_a_narrow_page_headings_and_values_are_read_by_scrolling(
    visit: Visit, name: str
) -> None:
    page = visit.go(f"/study/layers?name={name}")
    expect(page.locator("#layers-chart .heatmaplayer image").first).to_be_attached()
    found = page.evaluate(_HEADINGS)
    assert min(found["gaps"]) >= 0
    assert found["hidden"] > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    expect(page.get_by_role("region", name="What each layer gets")).to_have_attribute(
        "tabindex", "0"
    )
    if name != "deep":  # whose cells are too many
        expect(page.locator("#layers-chart .heatmap-label").first).to_be_visible()


def test_what_is_shown_stands_in_the_address(visit: Visit) -> None:
    page = visit.go("/study/layers?name=deep&colour=B_out")
    expect(page.get_by_role("combobox", name="Colour")).to_have_value("B_out")
    summary = page.locator("#layers-chart-summary")
    expect(summary).to_contain_text("B_out, bases across kernels of 121 layers")
    page.get_by_role("combobox", name="Colour").select_option("share")
    expect(page).to_have_url(re.compile("colour=share"))
    expect(summary).to_contain_text("Share of the student's bytes")
    first = str(trials_drawn(page)[0])
    page.get_by_role("combobox", name="Bytes of").select_option(first)
    expect(page).to_have_url(re.compile(f"trial={first}"))
    expect(page.locator("#layers-bytes-summary")).to_contain_text(f"trial {first}:")
    page.reload()
    expect(page.get_by_role("combobox", name="Bytes of")).to_have_value(first)
    expect(page.get_by_role("link", name=f"Open trial {first}")).to_be_visible()
    page.get_by_role("combobox", name="Colour").select_option("bits")
    expect(page).not_to_have_url(re.compile("colour"))


def test_all_cells_are_downloaded_and_pictures_are_saved(visit: Visit) -> None:
    page = visit.go(f"/study/layers?name={NASTY.replace('&', '%26')}")
    expect(page.locator("#layers-chart .heatmaplayer image").first).to_be_attached()
    drawn = trials_drawn(page)
    search = f"name={NASTY.replace('&', '%26')}"
    answer = page.request.get(f"/download/layers-cells.csv?{search}")
    rows = list(csv.DictReader(io.StringIO(answer.text())))
    assert len(rows) == len(drawn) * len(NETWORKS["resnet20"])
    assert {int(row["trial"]) for row in rows} == set(drawn)
    assert rows == [
        {key: "" if value is None else str(value) for key, value in row.items()}
        for row in json.loads(page.request.get(f"/download/layers-cells.json?{search}").text())
    ]
    for kind, start in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Save What each layer gets as {kind}").click()
        assert download.value.path().read_bytes().startswith(start)


def test_a_front_that_grows_is_followed(visit: Visit, writer: ResultStore) -> None:
    page = visit.go("/study/layers?name=deep")
    expect(page.locator("#layers-chart .heatmaplayer image").first).to_be_attached()
    best = max(writer.trials("deep"), key=lambda trial: trial.accuracy or 0)
    assert best.accuracy is not None
    better = best.__class__(**vars(best) | {"number": 999, "accuracy": best.accuracy + 0.01})
    writer.put_trial("deep", better)
    option = page.get_by_role("combobox", name="Bytes of").locator("option", has_text="trial 999")
    expect(option).to_have_count(1)
    page.evaluate(_UNTIL_DRAWN, "trial 999")  # a chart follows its menus
    assert 999 in trials_drawn(page)
    assert len(trials_drawn(page)) <= MOST_COLUMNS


@pytest.mark.view(color_scheme="dark", viewport={"width": 400, "height": 800})
def test_it_is_there_on_a_narrow_dark_screen(visit: Visit) -> None:
    page = visit.go("/study/layers?name=uniform")
    expect(page.locator("#layers-scan .contourlayer")).to_have_count(2)  # accuracy, memory
    expect(page.locator("#layers-scan-summary")).to_contain_text("9 points of 3 by 3 tried")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.goto(f"{visit.base}/study/importance?name=uniform")
    expect(page.locator(".notice")).to_contain_text("share their five numbers")
    expect(page.locator("#importance-chart-summary")).to_contain_text("of all layers")


def test_a_hyperparameter_that_moves_most_is_named_before_any_layer(visit: Visit) -> None:
    page = visit.go("/study/importance?name=steered")
    expect(page.locator("#importance-certainty")).to_contain_text(
        "From 60 trials: the layers' numbers and the hyperparameters predict"
    )
    expect(page.locator("#importance-chart-summary")).to_contain_text(
        re.compile(r"^Accuracy was moved most by training\.learning_rate \(\d")
    )
    expect(page.locator("#importance-chart .ytick text").first).to_have_text(
        re.compile("learning_rate")
    )


def test_a_study_without_a_front_says_what_to_do(visit: Visit) -> None:
    page = visit.go("/study/layers?name=early")
    expect(page.locator(".notice")).to_contain_text("resume early")
    page.goto(f"{visit.base}/study/importance?name=early")
    expect(page.locator(".notice")).to_contain_text("at least 8 COMPLETE trials")


def test_layers_that_matter_are_named(visit: Visit) -> None:
    page = visit.go(f"/study/importance?name={NASTY.replace('&', '%26')}")
    expect(page.locator("#importance-certainty")).to_contain_text("From 60 trials")
    expect(page.locator("#importance-chart-summary")).to_contain_text("conv1")
    page.get_by_role("combobox", name="Order").select_option("network")
    expect(page).to_have_url(re.compile("order=network"))
    first = page.locator("#importance-chart .ytick text").first
    expect(first).to_have_text("conv1")
    page.get_by_text("Table", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(len(NETWORKS["resnet20"]))


def test_too_few_trials_name_no_layer(visit: Visit) -> None:
    page = visit.go("/study/importance?name=few")
    said = page.locator("#importance-certainty")
    expect(said).to_contain_text("30 trials are too few to name what matters")
    expect(page.locator("#importance-chart-summary")).to_contain_text("too few trials")
    expect(page.locator("#importance-chart .legendtext")).to_contain_text(["no effect shown"])

"""The dashboard on a large study: 10,000 trials of 100 layer numbers, in a real browser.

    python benchmarks/dashboard.py [--trials 10000] [--runs 3] [--keep FOLDER]

A study on ResNet-18's layerwise space is written into a fresh SQLite file: a thousand settings
drawn at random, sizes and bits by the real count, accuracies by a formula, four epochs a trial.
`python -m dashboard` serves it in a process of its own, and Chromium (the system's, by playwright)
opens the study's page. Then new trials of the front are written, one by one, and awaited on the
page. What page and server do while nothing happens (a question every second) is subtracted.

The last line is JSON. Seconds: `first_front_s` from the visit's beginning to the front on the
screen, as the server drew it, of a server and a browser that have just started; `first_chart_s` to
plotly's chart in its place; `again_s` and `again_chart_s` the same once more; `followed_s` from a
trial's commit to its mark. An update's work in milliseconds of processor time, medians:
`server_ms` and `page_ms` (its main thread); `wire_kb` is what both sent for it, in 1,000 bytes.
`click_ms` is the work of both, from a click on a row's button to the inspector's answer.
`server_mb` is the server's resident memory at the end, in 1,000,000 bytes; `dom_nodes` counts the
page's elements.
"""

import argparse
import json
import math
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from optuna.distributions import IntDistribution
from playwright.sync_api import Browser, CDPSession, Page, Request, sync_playwright
from sqlalchemy import insert

from mlgsearch.mlg.network import NetworkShape, network_shape, network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import (
    OBJECTIVES,
    EpochRecord,
    Sizes,
    StudyRecord,
    TrialRecord,
    TrialState,
)
from mlgsearch.results.database.connection.engine import open_engine, writing
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.rows import epoch_row, trial_row
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.tables import epoch_table, trial_table
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.study.search.new_trial import NewTrials
from mlgsearch.study.space.space import Space
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec

STUDY = {
    "name": "large",
    "model": {"name": "resnet18"},
    "space": {"kind": "layerwise", "B_out": [1, 96]},
}
EPOCHS = 4
#: Settings that trials take by turns: a real proposal takes as long as a page's update.
SETTINGS = 1_000
CHROMIUM = "/usr/bin/chromium"
ROOT = Path(__file__).parents[1]

#: What no page takes longer for, in milliseconds.
PATIENCE_MS = 60_000

#: A mark of a chart that is drawn; and whether the front has that of a trial.
POINT = "#study-chart .scatterlayer .point"
HAS_MARK = """number => {
  const chart = document.querySelector('#study-chart .js-plotly-plot');
  return chart.data.some(trace =>
    trace.name?.startsWith('front') && trace.customdata?.some(([found]) => found === number));
}"""


#: Notes when the sketch of the front was painted: the first task after its frame.
SEEN = """new MutationObserver((_changes, observer) => {
  if (!document.querySelector(".sketch path")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.seen = performance.now(); }, 0));
}).observe(document, { childList: true, subtree: true });"""

#: Notes when the inspector's answer to a click was painted.
ANSWERED = """document.addEventListener("click", () => {
  const began = performance.now();
  window.answered = null;
  const observer = new MutationObserver(() => {
    if (!document.querySelector("#study-cards h3")) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => {
      window.answered = performance.now() - began;
    }, 0));
  });
  observer.observe(document.body, { childList: true, subtree: true });
}, true);"""


class Builder:
    """Writes a study with trials that look like a search's."""

    def __init__(self, url: str):
        engine = open_engine(url)
        upgrade(engine)
        self._engine = engine
        self.store = ResultStore(engine)
        self._spec = parse_study(STUDY, "study")
        model = build_model(ModelSpec(name="resnet18"), classes=10, channels=3, image_size=(32, 32))
        self._shape: NetworkShape = network_shape(model, (3, 32, 32))
        self._space = Space(self._spec, self._shape)
        self._random = random.Random(0)
        self._settings = [self._draw() for _ in range(SETTINGS)]

    def build(self, trials: int) -> None:
        """Write the study, all its trials and their epochs."""
        name = self._spec.name
        self.store.create_study(
            StudyRecord(
                name=name,
                content=self._spec.content(),
                content_hash=self._spec.content_hash(),
                source=json.dumps(STUDY),
                objectives=self._spec.search.objectives,
                n_trials=2 * trials,
                teacher_hash="0" * 64,
                teacher_accuracy=0.954,
                hypervolume_reference={
                    objective: OBJECTIVES[objective].reference
                    for objective in self._spec.search.objectives
                },
            )
        )
        drafts = NewTrials(self._spec, self._space, self._shape, "0" * 64, {})
        self.store.set_network(name, drafts.layers(), ())
        begin = datetime.now(UTC) - timedelta(seconds=30 * (trials + 1))
        records = [
            self.trial(number, begin + timedelta(seconds=30 * number)) for number in range(trials)
        ]
        with writing(self._engine) as connection:
            connection.execute(
                insert(trial_table),
                [
                    trial_row(record) | {"study_id": 1, "updated_at": record.finished_at}
                    for record in records
                ],
            )
            connection.execute(
                insert(epoch_table),
                [
                    epoch_row(epoch) | {"trial_id": record.number + 1}
                    for record in records
                    for epoch in _epochs(record)
                ],
            )

    def _draw(self) -> tuple[dict[str, LayerSetting], Sizes]:
        generosity = 1 + 4 * self._random.random()
        numbers = {}
        for name, distribution in self._space.distributions.items():
            assert isinstance(distribution, IntDistribution)
            share = self._random.betavariate(generosity, 3)
            numbers[name] = round(distribution.low + share * (distribution.high - distribution.low))
        settings = self._space.decode(numbers).settings
        return settings, network_sizes(self._shape, settings)

    def trial(self, number: int, finished: datetime) -> TrialRecord:
        """Make a trial: most are COMPLETE, some PRUNED, few FAIL."""
        draw = self._random
        settings, sizes = self._settings[number % SETTINGS]
        decades = -math.log10(sizes.memory_ratio)
        accuracy = min(0.95, 0.955 - 0.02 * decades**2 - draw.expovariate(50))
        state = draw.choices(
            [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL], [85, 13, 2]
        )[0]
        is_complete, is_failed = state is TrialState.COMPLETE, state is TrialState.FAIL
        return TrialRecord(
            number=number,
            state=state,
            settings={name: setting.five for name, setting in settings.items()},
            hyperparameters={},
            fingerprint=f"{number:064x}",
            seed=0,
            sizes=sizes,
            epochs_wanted=EPOCHS,
            epochs_done=EPOCHS if is_complete else 1,
            accuracy=None if is_failed else accuracy,
            loss=None if is_failed else 3 * (1 - accuracy),
            packed_bytes=sizes.bits // 8 + 9_000 if is_complete else None,
            projection_error={name: draw.random() for name in self._shape.layers},
            stage_seconds={"project": 1.5, "train": 27.0},
            versions={"torch": "2"},
            attempts=1,
            error=f"loss is nan (epoch {draw.randint(1, 3)})" if is_failed else None,
            created_at=finished - timedelta(seconds=55),
            finished_at=finished,
            layer_bits={
                name: setting.bits(self._shape.layers[name]) for name, setting in settings.items()
            },
        )

    def add_to_front(self, number: int, accuracy: float) -> None:
        """Write one more trial, better than all before."""
        record = self.trial(number, datetime.now(UTC))
        record = replace(
            record,
            state=TrialState.COMPLETE,
            epochs_done=EPOCHS,
            accuracy=accuracy,
            loss=0.1,
            packed_bytes=record.sizes.bits // 8,
            error=None,
        )
        self.store.put_trial(self._spec.name, record, _epochs(record))


def _epochs(record: TrialRecord) -> list[EpochRecord]:
    reached = record.accuracy or 0.1
    return [
        EpochRecord(epoch, 2 / epoch, reached, 1 / epoch, reached * epoch / EPOCHS, 2e-3, 7.0)
        for epoch in range(1, record.epochs_done + 1)
    ]


@contextmanager
def served(url: str) -> Iterator[tuple[str, psutil.Process]]:
    """Run the dashboard on a free port; gives its address and process."""
    command = [sys.executable, "-m", "dashboard", "--storage", url, "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            found = re.search(r"http://\S+?(?=/? |/?$)", said)
            assert found, f"the dashboard said {said!r}"
            yield found[0], psutil.Process(process.pid)
        finally:
            process.terminate()


class Wire:
    """Counts what a page sends and receives."""

    def __init__(self, page: Page, session: CDPSession):
        self.sent = self.received = 0
        page.on("request", self._note)
        session.send("Network.enable")
        session.on("Network.loadingFinished", self._count)

    def _note(self, request: Request) -> None:
        self.sent += len(request.post_data_buffer or b"")

    def _count(self, event: dict[str, Any]) -> None:
        self.received += int(event["encodedDataLength"])

    @property
    def total(self) -> int:
        """Bytes in both directions; of what is sent, bodies only."""
        return self.sent + self.received


def visit(browser: Browser, address: str) -> tuple[Page, float, float]:
    """Open the study's page; gives it, and the seconds until its front was seen, and its chart."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(SEEN)
    page.add_init_script(ANSWERED)
    began, began_at = time.perf_counter(), time.time()
    page.goto(f"{address}/study?name={STUDY['name']}", wait_until="commit")
    page.wait_for_selector(POINT, state="attached")
    chart_s = time.perf_counter() - began
    seen_at = page.evaluate("performance.timeOrigin + window.seen") / 1_000
    return page, seen_at - began_at, chart_s


def follow(
    page: Page, server: psutil.Process, builder: Builder, first: int, runs: int
) -> dict[str, float]:
    """Write trials and await them on the page; gives the medians of what that cost."""
    session = page.context.new_cdp_session(page)
    # Processor time: by the clock, what other programs take would count too.
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    wire = Wire(page, session)
    figures: dict[str, list[float]] = {
        name: [] for name in ("followed_s", "server_ms", "page_ms", "wire_kb")
    }
    for run in range(runs):
        _settle(page)
        idle = _used(session, server), wire.total
        page.wait_for_timeout(3_000)
        # What the page does anyhow while nothing happens, in as long as an update is awaited.
        rest = [now - then for now, then in zip(_used(session, server), idle[0], strict=True)]
        rest_bytes = wire.total - idle[1]
        before, sent = _used(session, server), wire.total
        began = time.perf_counter()
        builder.add_to_front(first + run, 0.96 + 0.001 * run)
        # Not wait_for_function: it compiles text in the page, which the page's policy forbids.
        while not page.evaluate(HAS_MARK, first + run):
            page.wait_for_timeout(20)
        figures["followed_s"].append(time.perf_counter() - began)
        page.wait_for_timeout(max(0.0, 3_000 - 1_000 * figures["followed_s"][-1]))
        used = _used(session, server)
        figures["server_ms"].append(1_000 * (used[0] - before[0] - rest[0]))
        figures["page_ms"].append(1_000 * (used[1] - before[1] - rest[1]))
        figures["wire_kb"].append((wire.total - sent - rest_bytes) / 1_000)
    return {name: statistics.median(values) for name, values in figures.items()}


def click(page: Page, server: psutil.Process, runs: int) -> dict[str, float]:
    """Select trials one by one; gives the medians of what that took."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    _settle(page)
    idle, began = sum(_used(session, server)), time.perf_counter()
    page.wait_for_timeout(3_000)
    rest = (sum(_used(session, server)) - idle) / (time.perf_counter() - began)
    figures: dict[str, list[float]] = {"answer_ms": [], "click_ms": []}
    for run in range(runs):
        before, began = sum(_used(session, server)), time.perf_counter()
        page.locator("#study-table button[data-toggle]").nth(run).click()
        page.wait_for_selector("#study-cards h3")
        _settle(page)
        spent = time.perf_counter() - began
        figures["click_ms"].append(1_000 * (sum(_used(session, server)) - before - rest * spent))
        figures["answer_ms"].append(page.evaluate("window.answered"))
        page.get_by_role("button", name="Clear selection").click()
        page.wait_for_selector("#study-choose:not([hidden])")
        _settle(page)
    return {name: statistics.median(values) for name, values in figures.items()}


def _settle(page: Page) -> None:
    page.wait_for_load_state("load")
    page.wait_for_timeout(2_000)


def _used(session: CDPSession, server: psutil.Process) -> tuple[float, float]:
    """Return the processor seconds that the server, and the page's main thread, have used."""
    times = server.cpu_times()
    metrics = session.send("Performance.getMetrics")["metrics"]
    page_s = next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
    return times.user + times.system, page_s


def main() -> None:
    """Build, serve, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="build the database here, and leave it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        url = f"sqlite:///{(folder / 'large.db').absolute()}"
        began = time.perf_counter()
        builder = Builder(url)
        builder.build(arguments.trials)
        size = (folder / "large.db").stat().st_size / 1e6
        print(f"{arguments.trials} trials, {size:.0f} MB, in {time.perf_counter() - began:.1f} s")
        with served(url) as (address, server), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page, first_s, chart_s = visit(browser, address)
            _settle(page)
            nodes = page.evaluate("document.querySelectorAll('*').length")
            page.close()
            figures = {"first_front_s": first_s, "first_chart_s": chart_s}
            page, figures["again_s"], figures["again_chart_s"] = visit(browser, address)
            figures |= follow(page, server, builder, arguments.trials, arguments.runs)
            figures |= click(page, server, arguments.runs)
            figures |= {"server_mb": server.memory_info().rss / 1e6, "dom_nodes": nodes}
            browser.close()
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()

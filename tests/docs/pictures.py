"""Take the pictures of README and docs: the demo's study, as a browser shows it.

python -m tests.docs.pictures [--storage URL] [--all DIR]

Without a database that has the study `digits` it is searched first, which takes some minutes. The
pictures have a fixed width. With --all those of docs/ stay as they are: the same views and further
pages are taken at three widths, light and dark, into a folder, to be looked at.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser

from dashboard.database import Database
from mlgsearch.results.analysis.choice import Limit
from mlgsearch.results.read.study_choice import StudyChoice
from tests.dashboard.serving import chromium, serving

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
STUDY = "digits"

Scheme = Literal["light", "dark"]

#: In pixels: of a page, of the chart that a search leaves, and what is left free below a page.
_WIDTH, _CHART, _AIR = 1280, (1100, 620), 12
#: Of those to be looked at: two columns with much room and with little, and a telephone.
_WIDTHS = (1440, _WIDTH, 400)
#: High enough for what is shown: a chart below the window is not drawn.
_HEIGHT = 2200
_SCHEMES: tuple[Scheme, ...] = ("light", "dark")

#: What the student of the pictures keeps to.
_AT_MOST_KB = 3.0

#: A page of documentation loads at once.
_COLOURS, MOST_BYTES = 128, 200_000

#: The chart that a search leaves.
FRONT = "front.png"


@dataclass(frozen=True)
class Picture:
    """A file in docs/ that shows a page of the dashboard, down to the end of an element."""

    file: str
    address: str
    until: str
    scheme: Scheme = "light"


def pictures(trial: int) -> list[Picture]:
    """Return what is pictured of the dashboard; ``trial`` is a student worth looking at."""
    chosen = f"/study?name={STUDY}&limit=max_kb&bound={_AT_MOST_KB:g}&size=packed_kb"
    return [
        Picture("dashboard-study.png", chosen, ".bench"),
        Picture("dashboard-parallel.png", f"{chosen}&chart=parallel", ".bench", "dark"),
        Picture("dashboard-layers.png", f"/study/layers?name={STUDY}", ".layers"),
        Picture("dashboard-trial.png", f"/study/trial?name={STUDY}&number={trial}", "#trial-home"),
    ]


def looked_at(trial: int) -> list[Picture]:
    """Return what is pictured at every width, light and dark; ``trial`` as in `pictures`."""
    selected = f"/study?name={STUDY}&trials={trial}&accuracy-from=50"
    return [
        *pictures(trial),
        Picture("studies.png", "/", "#content"),
        Picture("study-whole.png", selected, "#content"),
        Picture("importance.png", f"/study/importance?name={STUDY}", "#content"),
    ]


def main() -> None:
    """Search where there is no database, then take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--storage", help="a database that has the study, as an SQLAlchemy URL")
    parser.add_argument("--all", type=Path, metavar="DIR", help="take more, but none of docs/")
    words = parser.parse_args()
    storage, every = words.storage, None if words.all is None else words.all.resolve()
    os.chdir(ROOT)  # commands on the pages are those of a checkout
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        scratch = Path(folder)
        # Commands leave out the usual database, and with it this machine's paths.
        url = os.environ["MLGSEARCH_STORAGE"] = storage or f"sqlite:///{scratch / 'demo.db'}"
        os.environ["MLGSEARCH_RUNS"] = str(scratch / "runs")
        if storage is None:
            _run("launch", "studies/digits.yaml")
        if every is not None:
            with serving(url) as server:
                _take_all(browser, server, looked_at(_student(url)), every)
            return
        _run("front", STUDY, "--format", "html", "--out", str(scratch / "front.html"))
        page = browser.new_page(viewport={"width": _CHART[0], "height": _CHART[1]})
        page.goto((scratch / "front.html").as_uri())
        page.wait_for_selector(".main-svg .legend")
        _save(page.screenshot(), FRONT)
        with serving(url) as server:
            for picture in pictures(_student(url)):
                _save(_take(browser, server, picture, _WIDTH, picture.scheme), picture.file)


def _take_all(browser: Browser, server: str, views: Sequence[Picture], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for picture, width, scheme in product(views, _WIDTHS, _SCHEMES):
        path = folder / f"{Path(picture.file).stem}-{width}-{scheme}.png"
        path.write_bytes(_take(browser, server, picture, width, scheme))


def _run(*words: str) -> None:
    subprocess.run([sys.executable, "search.py", *words], check=True)


def _student(url: str) -> int:
    database = Database(url)
    chosen = StudyChoice.of(database.results(STUDY), Limit("max_kb", _AT_MOST_KB)).choice.trial
    database.close()
    return chosen


def _take(browser: Browser, server: str, picture: Picture, width: int, scheme: Scheme) -> bytes:
    # On a narrow page what is beside each other elsewhere is below.
    high = _HEIGHT if width > _WIDTHS[-1] else 3 * _HEIGHT
    page = browser.new_page(viewport={"width": width, "height": high}, color_scheme=scheme)
    page.goto(server + picture.address)
    page.wait_for_selector("#content > :not(.loading)")
    for chart in page.locator("figure.chart:visible").all():
        chart.locator(".main-svg").first.wait_for()
    box = page.locator(picture.until).first.bounding_box()
    assert box is not None, f"{picture.until} is not on {picture.address}"
    height = box["y"] + box["height"] + _AIR
    taken = page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height})
    page.close()
    return taken


def _save(png: bytes, file: str) -> None:
    with Image.open(io.BytesIO(png)) as taken:
        few = taken.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
        few.save(DOCS / file, optimize=True)
    assert (DOCS / file).stat().st_size < MOST_BYTES, f"{file} is too large for a page"


if __name__ == "__main__":
    main()

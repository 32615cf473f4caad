"""A new measure of a trial, and a new objective, added to a copy of the code, are everywhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlgsearch.results.database.schema import REVISIONS

ROOT = Path(__file__).parents[2]
REVISION = f"{int(REVISIONS[-1]) + 1:04d}"

MIGRATION = f'''"""A measure that a test adds."""

import sqlalchemy as sa
from alembic import op

revision = "{REVISION}"
down_revision = "{REVISIONS[-1]}"


def upgrade() -> None:
    op.add_column("mlg_trial", sa.Column("forward_ms", sa.Double()))


def downgrade() -> None:
    op.drop_column("mlg_trial", "forward_ms")
'''

#: How both programs begin, on an empty database.
PRELUDE = """
import csv, io, json
from pathlib import Path

from typer.testing import CliRunner

import mlgsearch
from dashboard.app import create_app
from dashboard.database import Database
from mlgsearch.cli.app import app
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from tests.dashboard.serving import HOSTS
from tests.results.samples import a_complete, a_study

assert Path(mlgsearch.__file__).is_relative_to(Path.cwd()), mlgsearch.__file__
url = "sqlite:///a.db"
engine = open_engine(url, must_exist=False)
upgrade(engine)
store = ResultStore(engine)


def run(*arguments):
    done = CliRunner().invoke(app, [*arguments, "--storage", url])
    assert done.exit_code == 0, done.output
    return done.stdout
"""

#: Writes a trial with the measure, and looks for it wherever a trial is shown.
SHOWN = """
from dashboard.pages.trial.data import TrialData
from dashboard.pages.trial.facts import facts
from dashboard.query import Query

store.create_study(a_study("s"))
store.put_trial("s", a_complete(0, 0.9, 0.05, forward_ms=1.25))

assert store.trial("s", 0).forward_ms == 1.25
assert "time of a forward pass: 1.25 ms" in run("show", "s", "0")
assert json.loads(run("show", "s", "0", "--json"))["forward_ms"] == 1.25
assert json.loads(run("show", "s", "--json").splitlines()[0])["forward_ms"] == 1.25
assert json.loads(run("front", "s", "--format", "json"))[0]["forward_ms"] == 1.25
(row,) = csv.DictReader(io.StringIO(run("front", "s", "--format", "csv")))
assert row["forward_ms"] == "1.25"
database = Database(url)
client = create_app(database, HOSTS).test_client()
assert client.get("/api/studies/s/trials").get_json()["trials"][0]["forward_ms"] == 1.25
assert client.get("/api/studies/s/front").get_json()["front"][0]["forward_ms"] == 1.25
schemas = client.get("/api/openapi.json").get_json()["components"]["schemas"]
for name in ("Trial", "Student"):
    assert schemas[name]["properties"]["forward_ms"]["type"] == ["number", "null"]
page = str(facts(TrialData.read(database, Query.parse("?name=s&number=0"))))
assert "time of a forward pass" in page and "1.25 ms" in page
database.close()
engine.dispose()
print("shown")
"""

#: Searches by the measure: it is an objective of a study, a front, and an axis of the page.
SEARCHED = """
from dashboard.charts.axes.size_axis import SIZE_AXES
from mlgsearch.study.file.study_file import parse_study

pair = ("accuracy", "forward_ms")
spec = parse_study({"name": "s", "search": {"objectives": list(pair)}}, "s.yaml")
assert spec.search.objectives == pair
store.create_study(a_study("s", objectives=pair))
for number, (accuracy, ms) in enumerate([(0.9, 10.0), (0.8, 1.0), (0.7, 5.0), (0.95, None)]):
    store.put_trial("s", a_complete(number, accuracy, 0.1, forward_ms=ms))

assert [row["trial"] for row in json.loads(run("front", "s", "--format", "json"))] == [0, 1]
assert json.loads(run("list", "--json"))["hypervolume"] > 0
run("front", "s", "--format", "html")
assert SIZE_AXES["forward_ms"].shown.label == "time of a forward pass"
database = Database(url)
client = create_app(database, HOSTS).test_client()
front = client.get("/api/studies/s/front").get_json()["front"]
assert [row["trial"] for row in front] == [0, 1]
assert database.results("s").front_numbers == [0, 1]
database.close()
engine.dispose()
print("searched")
"""


def replaced(file: Path, old: str, new: str) -> None:
    content = file.read_text()
    assert content.count(old) == 1, f"{file}: {old!r}"
    file.write_text(content.replace(old, new))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("mlgsearch", "dashboard"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    records = tmp_path / "mlgsearch" / "records.py"
    replaced(
        records,
        "        is_predicted=True,\n    ),\n)\n",
        "        is_predicted=True,\n    ),\n"
        '    Measure("forward_ms", "time of a forward pass", "of one image", unit="ms"),\n)\n',
    )
    field = "    peak_activation_bytes: int | None = None\n    projection_error"
    replaced(records, field, f"    forward_ms: float | None = None\n{field}")
    versions = tmp_path / "mlgsearch" / "results" / "database" / "migrations" / "versions"
    (versions / f"v{REVISION}_forward_ms.py").write_text(MIGRATION)
    return tmp_path


def run(copy: Path, script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(copy), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or done.stderr


def test_a_new_measure_is_shown_everywhere(copy: Path) -> None:
    assert run(copy, PRELUDE + SHOWN) == "shown"


def test_two_files_make_a_measure_an_objective(copy: Path) -> None:
    replaced(
        copy / "mlgsearch" / "records.py",
        '        Objective("loss", ',
        '        Objective("forward_ms", "time of a forward pass", False, True, 3.0),\n'
        '        Objective("loss", ',
    )
    columns = copy / "mlgsearch" / "results" / "analysis" / "trial_columns.py"
    field = "    packed_bytes: Floats\n"
    replaced(columns, field, f"{field}    forward_ms: Floats\n")
    last = '    "peak_activation_bytes",\n'
    replaced(columns, last, f'{last}    "forward_ms",\n')
    assert run(copy, PRELUDE + SEARCHED) == "searched"

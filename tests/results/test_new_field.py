"""A line in the table of fields, and scripts see it: in JSON, in the API and in its schema."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SHOWN = """
import json

import mlgsearch.results.trial_fields as fields

line = fields._field("is_odd", "boolean", lambda r: r.number % 2 == 1, description="its number")
fields.TRIAL_FIELDS = (*fields.TRIAL_FIELDS, line)

from typer.testing import CliRunner

from dashboard.app import create_app
from dashboard.database import Database
from mlgsearch.cli.app import app
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from tests.dashboard.serving import HOSTS
from tests.results.samples import a_complete, a_study

url = "sqlite:///a.db"
engine = open_engine(url, must_exist=False)
upgrade(engine)
store = ResultStore(engine)
store.create_study(a_study("s"))
for number in range(2):
    store.put_trial("s", a_complete(number, 0.9, 0.05))
shown = CliRunner().invoke(app, ["show", "s", "--json", "--storage", url]).stdout
found = {"json": [json.loads(line)["is_odd"] for line in shown.splitlines()]}
database = Database(url)
client = create_app(database, HOSTS).test_client()
trials = client.get("/api/studies/s/trials").get_json()["trials"]
found["api"] = [trial["is_odd"] for trial in trials]
schemas = client.get("/api/openapi.json").get_json()["components"]["schemas"]
found["schema"] = schemas["Trial"]["properties"]["is_odd"]
database.close()
engine.dispose()
print(json.dumps(found))
"""


def test_a_new_field_is_seen_by_scripts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOWN],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "json": [False, True],
        "api": [False, True],
        "schema": {"type": "boolean", "description": "its number"},
    }

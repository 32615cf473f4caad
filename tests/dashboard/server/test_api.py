"""What scripts ask, and what the OpenAPI file says of it."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from dashboard.app import create_app
from dashboard.database import Database
from dashboard.server.api import openapi
from mlgsearch.records import TrialState
from mlgsearch.results.analysis.front import front
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.formats import COLUMNS
from mlgsearch.results.trial_fields import trial_fields
from tests.dashboard.samples import NASTY
from tests.dashboard.serving import HOSTS
from tests.results.samples import a_study, a_trial

OPENAPI = openapi()
SCHEMAS = OPENAPI["components"]["schemas"]


@pytest.fixture(scope="module")
def app(database: Database) -> Flask:
    return create_app(database, HOSTS)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def asked(client: FlaskClient, path: str, status: int = 200) -> Any:
    answer = client.get(path)
    assert answer.mimetype == "application/json"
    assert answer.status_code == status, answer.text
    return answer.get_json()


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        *((path, GenerationMode.POSITIVE) for path in OPENAPI["paths"]),
        # Where nothing is asked for, nothing can be asked for wrongly.
        ("/api/studies/{name}/trials", GenerationMode.NEGATIVE),
    ],
)
def test_every_answer_is_as_the_file_says(app: Flask, path: str, mode: GenerationMode) -> None:
    operation = schemathesis.openapi.from_wsgi("/api/openapi.json", app)[path]["GET"]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=12,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        case.call_and_validate()

    check()


def test_the_file_lists_the_fields_that_are_given() -> None:
    assert list(SCHEMAS["Trial"]["properties"]) == list(trial_fields(a_trial()))
    assert list(SCHEMAS["Student"]["properties"]) == list(COLUMNS)
    assert SCHEMAS["Trial"]["properties"]["state"]["enum"] == list(TrialState)


def test_studies(client: FlaskClient) -> None:
    studies = asked(client, "/api/studies")["studies"]
    assert [study["study"] for study in studies] == ["digits", NASTY, "failing", "empty"]
    assert list(studies[0]) == list(SCHEMAS["Study"]["properties"])
    assert studies[0]["states"]["COMPLETE"] == 30
    assert studies[3]["best_accuracy"] is None


def test_the_front_of_any_name(client: FlaskClient, writer: ResultStore) -> None:
    for name in ("digits", NASTY):
        found = asked(client, f"/api/studies/{quote(name, safe='')}/front")
        expected = front(writer.trials(name), ("accuracy", "memory_ratio"))
        assert [student["trial"] for student in found["front"]] == [t.number for t in expected]
    assert asked(client, "/api/studies/failing/front")["front"] == []


@pytest.mark.parametrize("name", ["a//b", "x/front", "front", "é"])
def test_a_name_of_slashes(client: FlaskClient, writer: ResultStore, name: str) -> None:
    writer.create_study(a_study(name))
    assert asked(client, f"/api/studies/{quote(name, safe='')}/front")["study"] == name
    writer.delete_study(name)


def test_trials_page_by_page(client: FlaskClient) -> None:
    numbers: list[int] = []
    after: int | None = -1
    while after is not None:
        found = asked(client, f"/api/studies/digits/trials?limit=15&after={after}")
        assert found["total"] == 40
        numbers += [trial["trial"] for trial in found["trials"]]
        after = found["next"]
    assert numbers == list(range(40))


def test_trials_in_some_states(client: FlaskClient) -> None:
    found = asked(client, "/api/studies/digits/trials?state=PRUNED&state=FAIL")
    assert found["total"] == 10
    assert {trial["state"] for trial in found["trials"]} == {"PRUNED", "FAIL"}


@pytest.mark.parametrize(
    ("query", "reported"),
    [
        ("limit=0", "limit must be one number from 1 to 1000"),
        ("limit=1001", "limit must be"),
        ("limit=ten", "limit must be"),
        ("limit=1&limit=2", "limit must be one"),
        ("after=-2", "after must be one number from -1"),
        ("after=", "after must be"),
        ("state=RUN", "state 'RUN' is none of WAITING, RUNNING"),
        ("states=RUNNING", "unknown parameter 'states'; there is after, limit, state"),
    ],
)
def test_a_wrong_parameter_is_reported(client: FlaskClient, query: str, reported: str) -> None:
    assert reported in asked(client, f"/api/studies/digits/trials?{query}", 422)["error"]


def test_what_is_not_there_is_reported(client: FlaskClient) -> None:
    assert "there is 'digits'" in asked(client, "/api/studies/digit/front", 404)["error"]
    assert "openapi.json" in asked(client, "/api/none", 404)["error"]
    answer = client.post("/api/studies")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert "error" in answer.get_json()


def test_a_database_that_is_away(client: FlaskClient, database_file: Path) -> None:
    assert asked(client, "/healthz") == {"status": "ok"}
    aside = database_file.rename(database_file.with_suffix(".aside"))
    assert asked(client, "/healthz", 503) == {"status": "the database is away"}
    assert "is gone" in asked(client, "/api/studies", 503)["error"]
    assert "is gone" in asked(client, "/change-token")["trouble"]
    aside.rename(database_file)
    assert asked(client, "/healthz") == {"status": "ok"}


def test_another_database_in_its_place(client: FlaskClient, database_file: Path) -> None:
    before = asked(client, "/change-token?name=digits")["change_token"]
    assert len(asked(client, "/api/studies/digits/front")["front"]) > 0
    aside = database_file.rename(database_file.with_suffix(".aside"))
    engine = open_engine(f"sqlite:///{database_file}")
    assert "no mlgsearch tables" in asked(client, "/api/studies", 503)["error"]
    engine.dispose()
    database_file.unlink()
    database_file.write_bytes(aside.read_bytes())
    engine = open_engine(f"sqlite:///{database_file}")
    ResultStore(engine).delete_study("digits")
    ResultStore(engine).create_study(a_study("digits"))
    engine.dispose()
    assert asked(client, "/api/studies/digits/front")["front"] == []
    assert asked(client, "/change-token?name=digits")["change_token"] != before
    aside.rename(database_file)
    assert len(asked(client, "/api/studies/digits/front")["front"]) > 0

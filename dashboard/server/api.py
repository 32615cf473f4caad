"""The studies as JSON for scripts; `openapi.json` beside it says what is asked and answered."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, abort, request
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from dashboard.database import Database, trouble
from mlgsearch.errors import StorageError, StudyNotFoundError
from mlgsearch.records import TrialState
from mlgsearch.results.formats import front_rows, front_schema
from mlgsearch.results.read.study_list import study_fields
from mlgsearch.results.read.study_results import front_trials
from mlgsearch.results.read.trial_page import trial_page
from mlgsearch.results.trial_fields import TRIAL_FIELDS, object_schema, to_json, trial_fields

_OPENAPI = Path(__file__).with_name("openapi.json")
_MOST_TRIALS = 1000


def add_api(server: Flask, database: Database) -> None:
    """Answer ``/healthz`` and what is under ``/api``, read-only."""
    api = Blueprint("api", __name__)
    _answer_questions(api, database)
    _answer_errors(api)
    server.register_blueprint(api, url_prefix="/api")

    @server.get("/healthz")
    def _health() -> Response:
        try:
            database.change_token(())
        except (StorageError, DBAPIError):
            return _answer({"status": "the database is away"}, 503)
        return _answer({"status": "ok"})

    @server.errorhandler(HTTPException)
    def _refused(error: HTTPException) -> Response | HTTPException:
        if not request.path.startswith("/api"):
            return error
        answer = _answer({"error": error.description}, error.code or 500)
        for name, value in error.get_headers():
            if name.lower() not in ("content-type", "content-length"):
                answer.headers[name] = value
        return answer


def _answer_questions(api: Blueprint, database: Database) -> None:
    @api.get("/openapi.json")
    def _openapi() -> Response:
        return _answer(openapi())

    @api.get("/studies")
    def _studies() -> Response:
        _known_only(())
        return _answer({"studies": [study_fields(row) for row in database.studies()]})

    @api.get("/studies/<path:name>/front")
    def _front(name: str) -> Response:
        _known_only(())
        results = database.results(name)
        trials = front_trials(database.engine, results)
        return _answer({"study": name, "front": front_rows(trials, results.expectations)})

    @api.get("/studies/<path:name>/trials")
    def _trials(name: str) -> Response:
        _known_only(("after", "limit", "state"))
        after = _integer("after", -1, least=-1, most=2**31 - 1)
        limit = _integer("limit", 100, least=1, most=_MOST_TRIALS)
        states = [_state(text) for text in request.args.getlist("state")]
        found = trial_page(database.engine, name, after=after, limit=limit, states=states)
        return _answer(
            {
                "study": name,
                "total": found.total,
                "trials": [trial_fields(trial) for trial in found.trials],
                "next": found.following,
            }
        )

    @api.get("/<path:_rest>")
    def _nothing(_rest: str) -> Response:
        return _answer({"error": "nothing is here; see /api/openapi.json"}, 404)


def _answer_errors(api: Blueprint) -> None:
    @api.errorhandler(StudyNotFoundError)
    def _not_found(error: StudyNotFoundError) -> Response:
        return _answer({"error": str(error)}, 404)

    @api.errorhandler(StorageError)
    @api.errorhandler(DBAPIError)
    def _away(error: StorageError | DBAPIError) -> Response:
        return _answer({"error": trouble(error)}, 503)


def openapi() -> dict[str, Any]:
    """Return `openapi.json` with the schemas of trials, which follow from their fields."""
    document: dict[str, Any] = json.loads(_OPENAPI.read_text())
    trial = {field.name: field.schema for field in TRIAL_FIELDS}
    document["components"]["schemas"] |= {
        "Student": front_schema(),
        "Trial": object_schema("A trial, as of `show --json`.", trial),
    }
    return document


def _answer(content: dict[str, Any], status: int = 200) -> Response:
    return Response(to_json(content), status, mimetype="application/json")


def _known_only(names: Collection[str]) -> None:
    for name in request.args:
        if name not in names:
            there = f"there is {', '.join(names)}" if names else "there is none here"
            abort(422, f"unknown parameter {name!r}; {there}")


def _integer(name: str, default: int, *, least: int, most: int) -> int:
    texts = request.args.getlist(name) or [str(default)]
    digits = texts[0].removeprefix("-")
    is_number = len(texts) == 1 and digits.isascii() and digits.isdigit() and len(digits) < 16
    if not is_number or not least <= int(texts[0]) <= most:
        abort(422, f"{name} must be one number from {least} to {most}, got {texts}")
    return int(texts[0])


def _state(text: str) -> TrialState:
    if text not in list(TrialState):
        abort(422, f"state {text!r} is none of {', '.join(TrialState)}")
    return TrialState(text)

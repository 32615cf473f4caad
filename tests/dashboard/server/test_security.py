"""Who may ask the server what."""

from http import HTTPStatus

import pytest
from flask.testing import FlaskClient

from dashboard.app import create_app
from dashboard.database import Database
from tests.dashboard.serving import HOSTS

TOKEN = "correct-horse-battery-staple"
OURS = {"Host": "localhost:8060"}
CALLBACK = "/_dash-update-component"


@pytest.fixture
def client(database: Database) -> FlaskClient:
    return create_app(database, HOSTS).test_client()


@pytest.fixture
def guarded(database: Database) -> FlaskClient:
    return create_app(database, HOSTS, TOKEN).test_client()


@pytest.mark.parametrize(
    "path", ["/", "/change-token", "/api/studies", "/assets/style.css", "/healthz"]
)
@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "[", "a@localhost:x"]
)
def test_a_forged_host_is_refused(client: FlaskClient, path: str, host: str) -> None:
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("host", ["localhost:8060", "127.0.0.1", "LOCALHOST"])
def test_our_own_host_is_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://localhost:1", "https://localhost:8060"]
)
def test_a_post_from_elsewhere_is_refused(client: FlaskClient, origin: str | None) -> None:
    headers = OURS | ({} if origin is None else {"Origin": origin})
    assert client.post(CALLBACK, headers=headers, json={}).status_code == HTTPStatus.FORBIDDEN


def test_every_answer_forbids_what_the_page_does_not_need(client: FlaskClient) -> None:
    for path in ("/", "/api/studies", "/assets/frame.js", "/none", "/download/none.csv"):
        with client.get(path, headers=OURS) as answer:
            headers = answer.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        scripts = policy.split("script-src")[1].split(";")[0]
        assert "unsafe" not in scripts
        assert "http" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


def test_scripts_are_kept_and_asked_after_but_data_are_not(client: FlaskClient) -> None:
    library = "/_dash-component-suites/plotly/package_data/plotly.min.js"
    with client.get(library, headers=OURS) as answer:
        assert answer.headers["Cache-Control"] == "no-cache"
        tag = answer.headers["ETag"]
    with client.get(library, headers={**OURS, "If-None-Match": tag}) as answer:
        assert answer.status_code == HTTPStatus.NOT_MODIFIED
    with client.get("/api/studies", headers=OURS) as answer:
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_page_names_no_other_host(client: FlaskClient) -> None:
    page = client.get("/", headers=OURS).text
    for tag in ("src=", "href="):
        found = [part.split('"')[1] for part in page.split(tag)[1:]]
        assert found
        assert all(url.startswith("/") and not url.startswith("//") for url in found)


def test_unknown_addresses_are_not_found(client: FlaskClient) -> None:
    assert client.get("/none", headers=OURS).status_code == HTTPStatus.NOT_FOUND
    assert client.get("/download/none.csv", headers=OURS).status_code == HTTPStatus.NOT_FOUND
    assert client.get("/assets/../app.py", headers=OURS).status_code == HTTPStatus.NOT_FOUND
    answer = client.get("/_dash-component-suites/dash/dash.py", headers=OURS)
    assert answer.status_code >= HTTPStatus.BAD_REQUEST


def log_in(client: FlaskClient, token: str, path: str = "/login") -> tuple[int, str]:
    headers = OURS | {"Origin": "http://localhost:8060"}
    answer = client.post(path, headers=headers, data={"token": token})
    return answer.status_code, answer.headers.get("Set-Cookie", "")


def test_the_token_is_asked_for_once(guarded: FlaskClient) -> None:
    answer = guarded.get("/study?name=a%2Fb", headers=OURS)
    assert answer.status_code == HTTPStatus.SEE_OTHER
    login = answer.headers["Location"]
    assert login == "/login?next=%2Fstudy%3Fname%3Da%252Fb"
    assert guarded.get(login, headers=OURS).status_code == HTTPStatus.OK
    status, cookie = log_in(guarded, TOKEN, login)
    assert status == HTTPStatus.SEE_OTHER
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert guarded.get("/", headers=OURS).status_code == HTTPStatus.OK
    assert guarded.get("/api/studies", headers=OURS).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    "path", ["/", "/change-token", "/api/studies", "/_dash-layout", "/download/a.csv"]
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Cookie": "mlgsearch-dashboard=4102444800.00"},
        {"Cookie": "mlgsearch-dashboard=é"},
    ],
)
def test_nobody_else_gets_in(guarded: FlaskClient, path: str, headers: dict[str, str]) -> None:
    answer = guarded.get(path, headers=OURS | headers)
    assert answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.SEE_OTHER)
    assert "digits" not in answer.text


def test_a_script_sends_the_token_itself(guarded: FlaskClient) -> None:
    answer = guarded.get("/api/studies", headers=OURS | {"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == HTTPStatus.OK


def test_a_cookie_runs_out(guarded: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(guarded, TOKEN)
    monkeypatch.setattr("dashboard.server.login.time.time", lambda: 5e9)
    assert guarded.get("/", headers=OURS).status_code == HTTPStatus.SEE_OTHER


def test_who_guesses_waits(guarded: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("dashboard.server.login.time.monotonic", lambda: now)
    assert [log_in(guarded, "wrong")[0] for _ in range(3)] == [HTTPStatus.FORBIDDEN] * 3
    assert log_in(guarded, "wrong")[0] == HTTPStatus.TOO_MANY_REQUESTS
    now = 1.5
    assert log_in(guarded, "wrong")[0] == HTTPStatus.FORBIDDEN
    now = 3.0
    assert log_in(guarded, "wrong")[0] == HTTPStatus.TOO_MANY_REQUESTS
    now = 4.0
    assert log_in(guarded, "wrong")[0] == HTTPStatus.FORBIDDEN


def test_a_strangers_guesses_lock_nobody_out(guarded: FlaskClient) -> None:
    """Behind a proxy both have its address."""
    for _ in range(20):
        log_in(guarded, "wrong")
    headers = OURS | {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/api/studies", headers=headers).status_code == HTTPStatus.OK
    for _ in range(20):
        log_in(guarded, "wrong")
    assert log_in(guarded, TOKEN)[0] == HTTPStatus.SEE_OTHER


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example/", "/\\evil.example", "/%0d%0aX: y", "evil"]
)
def test_the_login_leads_nowhere_else(guarded: FlaskClient, path: str) -> None:
    answer = guarded.post(
        f"/login?next={path}",
        headers=OURS | {"Origin": "http://localhost:8060"},
        data={"token": TOKEN},
    )
    assert answer.headers["Location"] == "/"


def test_health_and_style_need_no_token(guarded: FlaskClient) -> None:
    for path in ("/healthz", "/assets/style.css", "/login"):
        with guarded.get(path, headers=OURS) as answer:
            assert answer.status_code == HTTPStatus.OK

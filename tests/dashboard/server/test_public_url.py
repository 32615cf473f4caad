"""The address that browsers reach the dashboard by, through a proxy."""

from http import HTTPStatus

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from dashboard.app import create_app
from dashboard.database import Database
from dashboard.server.public_url import PublicUrl
from mlgsearch.errors import UserError
from tests.dashboard.serving import HOSTS

PUBLIC = "https://studies.example.org"
TOKEN = "correct-horse-battery-staple"
#: How the proxy passes the Host: the browser's, or its own.
BOTH = pytest.mark.parametrize("host", ["studies.example.org", "127.0.0.1:8060"])


@pytest.fixture(scope="module")
def server(database: Database) -> Flask:
    return create_app(database, HOSTS, TOKEN, public_url=PublicUrl.of(PUBLIC))


@pytest.fixture
def client(server: Flask) -> FlaskClient:
    """A browser that has not logged in."""
    return server.test_client()


def log_in(client: FlaskClient, host: str, origin: str) -> TestResponse:
    headers = {"Host": host, "Origin": origin}
    return client.post("/login?next=/study", headers=headers, data={"token": TOKEN})


@pytest.mark.parametrize(
    ("text", "origin", "host"),
    [
        (PUBLIC, PUBLIC, "studies.example.org"),
        ("https://Studies.example.org:443/", PUBLIC, "studies.example.org"),
        ("http://studies:8080", "http://studies:8080", "studies"),
        ("https://[fd00::1]:8443", "https://[fd00::1]:8443", "fd00::1"),
    ],
)
def test_an_address_is_read_as_browsers_write_it(text: str, origin: str, host: str) -> None:
    assert PublicUrl.of(text) == (origin, host)


@pytest.mark.parametrize(
    "text",
    ["studies.example.org", "ftp://a", "https://", "https://a/b", "https://u@a", "http://a:x", ""],
)
def test_what_is_no_address_of_a_host_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match="expected http:// or https:// with a host"):
        PublicUrl.of(text)


@BOTH
def test_a_visitor_through_the_proxy_logs_in_by_a_cookie_for_https(
    client: FlaskClient, host: str
) -> None:
    answer = log_in(client, host, PUBLIC)
    assert (answer.status_code, answer.headers["Location"]) == (HTTPStatus.SEE_OTHER, "/study")
    cookie = answer.headers["Set-Cookie"]
    assert {"Secure", "HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    kept = {"Host": host, "Cookie": cookie.partition(";")[0]}
    assert client.get("/api/studies", headers=kept).status_code == HTTPStatus.OK


def test_on_the_machine_itself_the_cookie_is_for_http(client: FlaskClient) -> None:
    answer = log_in(client, "127.0.0.1:8060", "http://127.0.0.1:8060")
    assert answer.status_code == HTTPStatus.SEE_OTHER
    assert "Secure" not in answer.headers["Set-Cookie"]


@BOTH
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://studies.example.org:8443", "null"]
)
def test_another_sites_page_cannot_log_in(client: FlaskClient, host: str, origin: str) -> None:
    answer = log_in(client, host, origin)
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert "Set-Cookie" not in answer.headers


def test_another_name_is_still_refused(client: FlaskClient) -> None:
    answer = client.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == HTTPStatus.BAD_REQUEST

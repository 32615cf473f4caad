"""The address that browsers reach the dashboard by, through a proxy."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from dashboard.app import create_app
from dashboard.database import Database
from dashboard.server.public_url import PublicUrl
from mlgsearch.errors import UserError
from tests.dashboard.serving import HOSTS

PUBLIC = "https://studies.example.org"
LOGIN = "/_dash-update-component"


@pytest.fixture(scope="module")
def client(database_file: Path) -> Iterator[FlaskClient]:
    database = Database(f"sqlite:///{database_file}")
    yield create_app(database, HOSTS, public_url=PublicUrl.of(PUBLIC)).test_client()
    database.close()


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


@pytest.mark.parametrize("host", ["studies.example.org", "127.0.0.1:8060"])
def test_posts_through_the_proxy_are_answered_with_either_host(
    client: FlaskClient, host: str
) -> None:
    def status(origin: str) -> int:
        headers = {"Host": host, "Origin": origin}
        return client.post(LOGIN, headers=headers, json={}).status_code

    assert client.get("/", headers={"Host": host}).status_code == HTTPStatus.OK
    assert status(PUBLIC) != HTTPStatus.FORBIDDEN
    for other in ("https://evil.example", "https://studies.example.org:8443", "null"):
        assert status(other) == HTTPStatus.FORBIDDEN


def test_another_name_is_still_refused(client: FlaskClient) -> None:
    answer = client.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == HTTPStatus.BAD_REQUEST

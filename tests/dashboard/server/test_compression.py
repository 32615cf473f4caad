"""What is compressed, and for whom."""

import gzip
import io
import json

import pytest
from flask import Flask, Response, jsonify, send_file
from flask.testing import FlaskClient

from dashboard.server.compression import compress_data

SCRIPT = "const a = 1;" * 500
CONTENT = {"z": [[1, 2, 3]] * 500}


@pytest.fixture
def client() -> FlaskClient:
    server = Flask(__name__)
    compress_data(server)
    for path, view in (
        ("/_dash-data", lambda: jsonify(CONTENT)),
        ("/_dash-short", lambda: jsonify(1)),
        ("/_dash-page", lambda: "x" * 5_000),
        ("/api/data", lambda: jsonify(CONTENT)),
        ("/assets/a.js", lambda: Response(SCRIPT, mimetype="text/javascript")),
        ("/assets/a.css", lambda: send_file(io.BytesIO(SCRIPT.encode()), mimetype="text/css")),
    ):
        server.add_url_rule(path, path, view)
    return server.test_client()


def test_data_are_sent_in_fewer_bytes_to_whoever_takes_gzip(client: FlaskClient) -> None:
    plain = client.get("/_dash-data")
    packed = client.get("/_dash-data", headers={"Accept-Encoding": "br, gzip"})
    assert plain.json == CONTENT == json.loads(gzip.decompress(packed.data))
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.content_length == len(packed.data) < len(plain.data) / 5
    for answer in (plain, packed):
        assert answer.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in plain.headers


@pytest.mark.parametrize("path", ["/assets/a.js", "/assets/a.css"])
def test_scripts_and_styles_are_sent_in_fewer_bytes(client: FlaskClient, path: str) -> None:
    for _ in range(2):  # the second time as the first left it
        packed = client.get(path, headers={"Accept-Encoding": "gzip"})
        assert gzip.decompress(packed.data).decode() == SCRIPT
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.content_length == len(packed.data) < len(SCRIPT) / 5
    assert client.get(path).text == SCRIPT


@pytest.mark.parametrize("path", ["/_dash-short", "/_dash-page", "/api/data"])
def test_other_answers_go_as_they_are(client: FlaskClient, path: str) -> None:
    answer = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert answer.data == client.get(path).data
    assert "Content-Encoding" not in answer.headers


def test_gzip_may_be_refused(client: FlaskClient) -> None:
    answer = client.get("/_dash-data", headers={"Accept-Encoding": "gzip;q=0, br"})
    assert answer.json == CONTENT

"""Clients that take their time, against the real server."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest

from dashboard.server.bounded import client_of

ROOT = Path(__file__).parents[3]
#: With shorter times than its users have.
SERVER = """
import sys
from dashboard.server import bounded
bounded.REQUEST_S, bounded.ANSWER_S, bounded.MOST_OF_ONE = 2.0, 4.0, 40
from dashboard.server import serve
serve.LOOK_S = 1
from dashboard.__main__ import main
main()
"""


@pytest.fixture
def server(database_file: Path) -> Iterator[tuple[psutil.Process, int]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, "--port", "0"],
        env=os.environ | {"MLGSEARCH_STORAGE": f"sqlite:///{database_file}"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield psutil.Process(process.pid), int(line.split()[4].strip("/").rpartition(":")[2])
        process.send_signal(signal.SIGINT)


@pytest.fixture
def clients() -> Iterator[list[socket.socket]]:
    """Closed at the end."""
    clients: list[socket.socket] = []
    yield clients
    for client in clients:
        client.close()


def is_healthy(port: int) -> bool:
    with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=20) as answer:
        return bool(answer.status == 200)


def is_closed(client: socket.socket) -> bool:
    client.settimeout(20)
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_trickling_requests_are_closed_and_silence_nobody(
    server: tuple[psutil.Process, int], clients: list[socket.socket]
) -> None:
    _, port = server
    clients += [socket.create_connection(("127.0.0.1", port)) for _ in range(120)]
    for client in clients:
        try:
            client.sendall(b"GET / HTTP/1.1\r\nX: ")
        except ConnectionError:  # more than one address may have
            continue
    time.sleep(1)
    open_now = sum(not _ended_at_once(client) for client in clients)
    assert 0 < open_now <= 40
    began = time.monotonic()
    while time.monotonic() - began < 5:
        for client in clients:
            try:
                client.sendall(b"x")
            except OSError:
                continue
        time.sleep(0.2)
    assert all(map(is_closed, clients))
    assert is_healthy(port)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("", ""),
    ],
)
def test_a_network_that_one_host_has_counts_as_one_client(address: str, client: str) -> None:
    assert client_of(address) == client


def _ended_at_once(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_slow_readers_are_closed_and_hold_little(
    server: tuple[psutil.Process, int], clients: list[socket.socket]
) -> None:
    process, port = server
    script = "/_dash-component-suites/plotly/package_data/plotly.min.js"
    with urlopen(f"http://127.0.0.1:{port}{script}", timeout=60) as answer:
        assert len(answer.read()) > 4e6
    before = process.memory_info().rss
    for _ in range(30):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(f"GET {script} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        clients.append(client)
    time.sleep(2)
    assert is_healthy(port)
    grown = process.memory_info().rss - before
    assert grown < 200e6  # 30 answers of 5 MB; before, 753 MiB
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        connections = process.net_connections()
        if not [c for c in connections if c.status == psutil.CONN_ESTABLISHED]:
            break
        time.sleep(0.5)
    else:
        raise AssertionError("slow readers were not closed")


def answer(url: str) -> tuple[int, float]:
    """Return a request's status, and the seconds that it took."""
    began = time.monotonic()
    try:
        with urlopen(url, timeout=50) as found:
            found.read()
            status = found.status
    except HTTPError as refused:
        status = refused.code
        refused.close()
    return status, time.monotonic() - began


def test_a_lock_of_the_database_blocks_nothing_for_long(
    server: tuple[psutil.Process, int], database_file: Path
) -> None:
    _, port = server
    base = f"http://127.0.0.1:{port}"
    locked = [f"{base}/api/studies", f"{base}/api/studies/digits/front"]
    assert [answer(url)[0] for url in locked] == [200, 200]
    other = sqlite3.connect(database_file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        # More than the server has threads, in line for the same two locks.
        with ThreadPoolExecutor(16) as pool:
            asked = [pool.submit(answer, url) for url in locked * 8]
            time.sleep(0.1)
            assert not all(request.done() for request in asked)
            style, health = answer(f"{base}/assets/style.css"), answer(f"{base}/healthz")
            statuses, times = zip(*(request.result() for request in asked), strict=True)
        assert set(statuses) == {503}
        assert style[0] == 200
        assert health[0] == 503  # it says whether the database answers
        assert max(*times, style[1], health[1]) < 3  # eight in line, half a second each: 4 s
    finally:
        other.close()
    assert is_healthy(port)
    assert [answer(url)[0] for url in locked] == [200, 200]

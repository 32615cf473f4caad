"""A way to a database server that stays connected and lets nothing through, when a test says."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import make_url


class BlackHole:
    """Passes bytes between a port of the loopback address and a server's, while open."""

    def __init__(self, url: str):
        self._server = server = make_url(url)
        self._open = threading.Event()
        self._open.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        self.url = server.set(host="127.0.0.1", port=port, query={}).render_as_string(
            hide_password=False
        )
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        """Pass nothing on from now; connections stay, and new ones are accepted."""
        self._open.clear()

    def release(self) -> None:
        """Pass everything on again, what was held back first."""
        self._open.set()

    def close(self) -> None:
        """End all connections."""
        self._open.set()
        for each in [self._listening, *self._sockets]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = self._connect()
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _connect(self) -> socket.socket:
        folder = self._server.query.get("host")
        if folder is None:
            assert self._server.host is not None
            return socket.create_connection((self._server.host, self._server.port or 3306))
        assert isinstance(folder, str)
        found = socket.socket(socket.AF_UNIX)
        found.connect(str(next(Path(folder).glob(".s.PGSQL.*[0-9]"))))
        return found

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)


@contextmanager
def black_hole(url: str) -> Iterator[BlackHole]:
    """Put one before a server's socket."""
    hole = BlackHole(url)
    try:
        yield hole
    finally:
        hole.close()

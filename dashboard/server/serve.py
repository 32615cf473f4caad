"""Serving the application with waitress."""

import logging
import os
import signal
import socket
from types import FrameType

import typer
from flask import Flask
from waitress.server import create_server

from dashboard.server.bounded import LOOK_S, MOST, bound
from mlgsearch.errors import UserError

#: Each open page asks once a second, and an answer takes milliseconds.
_THREADS = 8
#: What a page sends is its view; nothing is uploaded.
_MOST_BYTES = 1_000_000
#: An answer longer than this goes through a temporary file, as plotly's script of 5 MB does.
MOST_IN_MEMORY = 1_000_000


def serve(app: Flask, host: str, port: int, note: str | None = None) -> None:
    """Serve until Ctrl-C; say where, and the note on stderr.

    Raises:
        UserError: the port is in use, or the address is not this machine's.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a short queue is no trouble
    # Not left to waitress, which would not close what it opened before it failed.
    with _listening(host, port) as opened:
        server = create_server(
            app,
            sockets=[opened],
            threads=_THREADS,
            ident=None,
            max_request_body_size=_MOST_BYTES,
            outbuf_overflow=MOST_IN_MEMORY,
            connection_limit=MOST,
            cleanup_interval=LOOK_S,
        )
        bound(server)
        shown = f"[{host}]" if ":" in host else host
        port = opened.getsockname()[1]
        signal.signal(signal.SIGINT, _end)
        if note is not None:
            typer.echo(f"note: {note}", err=True)
        # The last word: who waits for the address finds all else said, and may end it at once.
        typer.echo(f"The dashboard is at http://{shown}:{port}/ (Ctrl-C ends it)")
        server.run()


def _end(_number: int, _frame: FrameType | None) -> None:
    """End at once: nothing is written here that would have to be finished.

    Python's KeyboardInterrupt can get lost, where it is raised inside of a destructor.
    """
    os._exit(0)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise UserError(
            f"cannot serve on {host}, port {port}: {error.strerror}; give another --port or --host"
        ) from error

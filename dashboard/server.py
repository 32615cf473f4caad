"""Serving the application with waitress."""

import logging

import typer
from flask import Flask
from waitress.server import create_server

from mlgsearch.errors import UserError

#: Each open page asks once a second, and an answer takes milliseconds.
_THREADS = 8
#: What a page sends is its view; nothing is uploaded.
_MOST_BYTES = 1_000_000


def serve(app: Flask, host: str, port: int) -> None:
    """Serve until Ctrl-C; say where.

    Raises:
        UserError: the port is in use, or the address is not this machine's.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a short queue is no trouble
    try:
        server = create_server(
            app,
            host=host,
            port=port,
            threads=_THREADS,
            ident=None,
            max_request_body_size=_MOST_BYTES,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"cannot serve on {host}, port {port}: {why}; give another --port or --host"
        ) from error
    shown = f"[{host}]" if ":" in host else host
    typer.echo(f"The dashboard is at http://{shown}:{_port(server)}/ (Ctrl-C ends it)")
    server.run()


def _port(server: object) -> int:
    """Give the port; a name with several addresses is served on each of them."""
    several = getattr(server, "effective_listen", None)
    port: int = several[0][1] if several else server.effective_port  # type: ignore[attr-defined]
    return port

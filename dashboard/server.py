"""Serving the application with waitress."""

from flask import Flask
import typer
from waitress.server import create_server

from mlgsearch.errors import UserError

#: Each open page asks once a second, and an answer takes milliseconds.
_THREADS = 8


def serve(app: Flask, host: str, port: int) -> None:
    """Serve until Ctrl-C; say where.

    Raises:
        UserError: the port is in use, or the address is not this machine's.
    """
    try:
        server = create_server(app, host=host, port=port, threads=_THREADS, ident="")
    except OSError as error:
        raise UserError(
            f"cannot serve on {host}, port {port}: {error.strerror}; another --port may be free"
        ) from error
    shown = f"[{host}]" if ":" in host else host
    typer.echo(f"The dashboard is at http://{shown}:{server.effective_port}/ (Ctrl-C ends it)")
    server.run()

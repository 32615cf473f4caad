"""`python -m dashboard`: serve the page over one database."""

import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from dashboard.app import create_app
from dashboard.database import Database
from dashboard.server.hosts import host_names, is_loopback, others_have_a_shell
from dashboard.server.public_url import PublicUrl
from dashboard.server.serve import serve
from dashboard.server.token_file import read_token
from dashboard.server.warm_up import warm_up
from mlgsearch.errors import UserError
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE


def dashboard(
    storage: Annotated[
        str,
        typer.Option(
            envvar="MLGSEARCH_STORAGE",
            help="Database, as an SQLAlchemy URL, or @FILE that holds it.",
            show_envvar=True,
        ),
    ] = DEFAULT_STORAGE,
    port: Annotated[
        int, typer.Option(help="Port to serve on; 0 takes a free one.", min=0, max=65535)
    ] = 8060,
    host: Annotated[
        str, typer.Option(help="Address to serve on; others than this machine's need a token.")
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the token to ask visitors for; it is made where missing."),
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="What browsers call it by, through a proxy of yours."),
    ] = None,
) -> None:
    """Serve a web page that shows the studies of a database, and follows those that run."""
    if token_file is None and not is_loopback(host):
        raise UserError(
            f"--host {host}: others could read the studies; add --token-file FILE, which asks "
            "visitors for a token, or stay on 127.0.0.1 and reach it through `ssh -L`"
        )
    public = None if public_url is None else PublicUrl.of(public_url)
    database = Database(storage)
    token = None if token_file is None else read_token(token_file)
    app = create_app(database, host_names(host), token, public)
    threading.Thread(target=warm_up, args=(database,), daemon=True).start()
    serve(app, host, port, None if token_file is not None else _who_can_open_it(public_url))


def _who_can_open_it(public_url: str | None) -> str | None:
    """Describe who can open the dashboard without a token; None where it is only its user."""
    if public_url is not None:
        return "all whom the proxy lets in can open it; --token-file FILE asks for a token"
    if others_have_a_shell():
        return "every user of this machine can open it; --token-file FILE asks for a token"
    return None


def main() -> None:
    """Run it; a user's mistake is one line on stderr and exit code 2."""
    try:
        typer.run(dashboard)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

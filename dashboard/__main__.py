"""`python -m dashboard`: serve the page over one database."""

import sys
from typing import Annotated

import typer

from dashboard.app import create_app
from dashboard.database import Database
from dashboard.server import serve
from mlgsearch.errors import UserError


def dashboard(
    storage: Annotated[
        str,
        typer.Option(
            envvar="MLGSEARCH_STORAGE", help="Database, as an SQLAlchemy URL.", show_envvar=True
        ),
    ] = "sqlite:///mlgsearch.db",
    port: Annotated[int, typer.Option(help="Port to serve on.", min=0, max=65535)] = 8060,
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
) -> None:
    """Serve a web page that shows the studies of a database, and follows those that run."""
    database = Database(storage)
    serve(create_app(database, {"127.0.0.1", "localhost", "::1"}), host, port)


def main() -> None:
    """Run it; a user's mistake is one line on stderr and exit code 2."""
    try:
        typer.run(dashboard)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

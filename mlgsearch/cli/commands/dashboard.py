"""`dashboard`: the web page, in a process of its own."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mlgsearch.cli.options import Storage
from mlgsearch.errors import UserError
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE


def dashboard(
    storage: Storage = DEFAULT_STORAGE,
    port: Annotated[
        int, typer.Option(help="Port to serve on; 0 takes a free one.", min=0, max=65535)
    ] = 8060,
    host: Annotated[
        str, typer.Option(help="Address to serve on; any but the loopback address needs a token.")
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the token that visitors need; it is created if missing."),
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The address that browsers use behind a proxy of yours."),
    ] = None,
) -> None:
    """Serve a web page that shows the studies, updated while they run."""
    missing = [name for name in ("dash", "waitress") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"the dashboard needs {' and '.join(missing)}: pip install 'mlgsearch[dashboard]'"
        )
    # A password on a command line can be read by all users of the machine, an environment cannot.
    os.environ["MLGSEARCH_STORAGE"] = storage
    words = ["--port", str(port), "--host", host]
    if token_file is not None:
        words += ["--token-file", str(token_file)]
    if public_url is not None:
        words += ["--public-url", public_url]
    # Where this is a checkout that was not installed, it has the folder's name.
    is_installed = importlib.util.find_spec("mlgsearch_dashboard") is not None
    page = "mlgsearch_dashboard" if is_installed else "dashboard"
    # This process becomes the page's, which never loads torch, Ray or Optuna. Without -P, a file
    # dashboard.py in the current folder would be taken for it.
    os.execv(sys.executable, [sys.executable, "-P", "-m", page, *words])

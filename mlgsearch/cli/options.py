"""Options and arguments that several commands share."""

from typing import Annotated

import typer

from mlgsearch.results.database.connection.storage_url import exposed, safe_url


def _check_storage(context: typer.Context, storage: str) -> str:
    storage = storage.strip()  # a variable that was read from a file may end in a newline
    source = context.get_parameter_source("storage")
    is_typed = source is not None and source.name == "COMMANDLINE"
    if is_typed and not storage.startswith("@") and safe_url(storage) != storage:
        typer.echo(
            "warning: every user of this machine can read the password in --storage (ps shows it); "
            "write the URL into a file of mode 0600 and give --storage @FILE, or set "
            "MLGSEARCH_STORAGE",
            err=True,
        )
    elif storage.startswith("@") and (warning := exposed(storage)) is not None:
        typer.echo(f"warning: {warning}", err=True)
    return storage


Storage = Annotated[
    str,
    typer.Option(
        envvar="MLGSEARCH_STORAGE",
        help="Database, as an SQLAlchemy URL, or @FILE that holds it.",
        show_envvar=True,
        callback=_check_storage,
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the study.")]
AllowCode = Annotated[
    list[str] | None,
    typer.Option(metavar="CODE", help="module:callable that the stored study may import."),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object per line (docs/json.md).")
]

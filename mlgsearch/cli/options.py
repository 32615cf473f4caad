"""Options and arguments that several commands share."""

from typing import Annotated

import typer

DEFAULT_STORAGE = "sqlite:///mlgsearch.db"

Storage = Annotated[
    str,
    typer.Option(
        envvar="MLGSEARCH_STORAGE",
        help="Database, as an SQLAlchemy URL.",
        show_envvar=True,
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the study.")]
AllowCode = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CODE", help="module:callable of one's own that the stored study may import."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line (docs/json.md).")]

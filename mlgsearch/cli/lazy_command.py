"""A command that is imported when it is called, not when it is listed."""

from typing import Any

import typer
from typer.core import TyperCommand

from mlgsearch.cli.databases import close_databases
from mlgsearch.named import named


class LazyCommand(TyperCommand):
    """Lists a command in `--help`; imports its module only to run it or to print its own help.

    Args:
        name: what a user types.
        target: the function, as ``module:function``.
        help: the first paragraph of the function's docstring, which the group's `--help` shows.
    """

    def __init__(self, name: str, target: str, help: str):
        super().__init__(name, help=help)
        self.target = target

    def load(self) -> TyperCommand:
        """Import the function and return the command that typer makes of it."""
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(named(self.target))
        command = typer.main.get_command(alone)
        assert isinstance(command, TyperCommand)
        return command

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:
        """Parse the arguments by the command itself, which the context then invokes."""
        context = self.load().make_context(info_name, args, *rest, **extra)
        context.call_on_close(close_databases)
        return context

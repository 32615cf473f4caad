"""The commands of mlgsearch; each is a thin layer over `study` and `results`, in a file of its own.

A command's file is imported when it is called. Commands that only read load neither torch nor Ray:
those imports are inside the commands that train, so that `front` answers in half a second.
"""

import errno
import logging
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from mlgsearch import __version__
from mlgsearch.cli.lazy_command import LazyCommand
from mlgsearch.cli.progress.steady_stream import steady
from mlgsearch.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

#: Errors of a write to a stdout that is a file.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

#: Whatever this process was started with, only this user may write what it makes.
_NO_OTHERS = 0o022

#: Every command, in the order of `--help`.
COMMANDS = (
    LazyCommand(
        "plan",
        "mlgsearch.cli.commands.plan:plan",
        "Show the front that is predicted before any training, or the plan for a budget.",
    ),
    LazyCommand(
        "sensitivity",
        "mlgsearch.cli.commands.sensitivity:sensitivity",
        "Show which layers cost accuracy and which are free, most expensive first.",
    ),
    LazyCommand(
        "measure",
        "mlgsearch.cli.commands.measuring:measure",
        "Time a study's layers on its target, and write the table that predicts latency.",
    ),
    LazyCommand(
        "launch",
        "mlgsearch.cli.commands.driving:launch",
        "Start the study of a file, or continue it if it is stored with the same content.",
    ),
    LazyCommand(
        "resume",
        "mlgsearch.cli.commands.driving:resume",
        "Continue a stored study; a larger --trials extends a finished one.",
    ),
    LazyCommand(
        "list", "mlgsearch.cli.commands.list_studies:list_studies", "List the stored studies."
    ),
    LazyCommand(
        "show",
        "mlgsearch.cli.commands.show:show",
        "Show a study and all its trials, or one trial with its settings and curve.",
    ),
    LazyCommand(
        "front",
        "mlgsearch.cli.commands.front:print_front",
        "Print the Pareto front: what was measured of its students, and what to expect.",
    ),
    LazyCommand(
        "choose",
        "mlgsearch.cli.commands.choosing:choose_trial",
        "Choose a trial by expected accuracy: best within a size, or smallest that is enough.",
    ),
    LazyCommand(
        "verify",
        "mlgsearch.cli.commands.verifying:verify_trials",
        "Train trials again under other seeds, then evaluate each on the test part once.",
    ),
    LazyCommand(
        "export",
        "mlgsearch.cli.commands.export:export",
        "Write a finished trial's student: packed, as a plain network, as ONNX, or as C.",
    ),
    LazyCommand(
        "evaluate",
        "mlgsearch.cli.commands.evaluate:evaluate",
        "Measure an exported file: accuracy, loss, size, latency beside the dense network.",
    ),
    LazyCommand(
        "delete",
        "mlgsearch.cli.commands.delete:delete",
        "Delete a study: its rows, its checkpoints, Optuna's rows.",
    ),
    LazyCommand(
        "sizes",
        "mlgsearch.cli.commands.sizes:sizes",
        "Show what a network costs at the paper's uniform setting, before any training.",
    ),
    LazyCommand(
        "dashboard",
        "mlgsearch.cli.commands.dashboard:dashboard",
        "Serve a web page that shows the studies, updated while they run.",
    ),
)


class _Commands(TyperGroup):
    def __init__(self, **options: Any):
        super().__init__(**options)
        self.commands = {str(command.name): command for command in COMMANDS}

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise UserError(f"{error.filename}: {error.strerror}") from error


app = typer.Typer(
    cls=_Commands,
    help="Search per-layer multi-level generation (MLG) settings; get a Pareto front of students.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def _global(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"mlgsearch {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    sys.stderr = steady(sys.stderr)
    os.umask(os.umask(_NO_OTHERS) | _NO_OTHERS)
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except _database_errors() as error:  # a driver outlasts it, but not while it prepares
        from mlgsearch.results.database.connection.trouble import trouble  # loads SQLAlchemy

        found = trouble(error)
        if found is None:
            raise
        if found.passes:
            said = f"does not answer: {found.said}; try again later"
        else:
            said = f"cannot be used: {found.said}"
        typer.echo(f"error: the database {said}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        _drop_stdout()
        sys.exit(0)
    except OSError as error:
        if error.filename is not None or error.errno not in _NO_ROOM:
            raise
        _drop_stdout()
        typer.echo(f"error: cannot write: {error.strerror}", err=True)
        sys.exit(2)


def _database_errors() -> "tuple[type[DBAPIError], ...]":
    """Return what a database raises; nothing where no command has loaded SQLAlchemy."""
    if "sqlalchemy.exc" not in sys.modules:
        return ()
    from sqlalchemy.exc import DBAPIError

    return (DBAPIError,)


def _drop_stdout() -> None:
    """Drop what stdout's buffer still holds, which would fail again at the very end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

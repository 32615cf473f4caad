"""How a command that drives trainings shows them: for scripts, on a terminal, or in plain lines."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TextIO, TypeVar

import typer
from rich.console import Console

from mlgsearch.cli.progress.steady_stream import steady
from mlgsearch.study.cluster.signals import Interrupted

View = TypeVar("View")


@contextlib.contextmanager
def choose_view(
    events: Callable[[TextIO], View],
    live: Callable[[Console], AbstractContextManager[View]],
    lines: Callable[[TextIO], View],
    *,
    as_json: bool,
    again: str,
) -> Iterator[View]:
    """Return the view that fits stdout.

    ``again`` is the command that goes on where a signal stopped it at once.

    Raises:
        typer.Exit: a signal stopped it at once.
    """
    # Until the program ends: what it writes at last may meet a stdout that is gone as well.
    sys.stdout = out = steady(sys.stdout, _warn_of_silence)
    try:
        # Our own lines alone are on stdout; what a library or a user's model prints is not.
        with contextlib.redirect_stdout(sys.stderr):
            if as_json:
                yield events(out)
            elif out.isatty():
                with live(Console(file=out)) as view:
                    yield view
            else:
                yield lines(out)
    except KeyboardInterrupt as error:
        typer.echo(f"stopped at once; `{again}` goes on from the last checkpoints", err=True)
        raise stopped(error.number if isinstance(error, Interrupted) else None) from None


def _warn_of_silence(reason: str) -> None:
    typer.echo(
        f"warning: stdout cannot be written ({reason}): nothing more is shown there, and the work "
        "goes on",
        err=True,
    )


def stopped(by: int | None) -> typer.Exit:
    """Return the exit of a program that a signal stopped, as a shell has it: 130 for Ctrl-C."""
    return typer.Exit(128 + (by or signal.SIGINT))

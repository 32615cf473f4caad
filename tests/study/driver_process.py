"""Processes of `search.py`: fresh ones, and ones forked where its modules are loaded already.

A driver takes seconds to load torch, Ray and Optuna, and many tests start one. A forked one is as a
fresh one in its arguments, environment, working folder, streams, group and signals; but what a
library reads from the environment while it is loaded, as OpenMP does, is that of the tests. Ray's
own settings are read again.
"""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO
from unittest.mock import patch

from ray._raylet import Config  # type: ignore[attr-defined]  # of compiled code

from mlgsearch.cli.app import main

_SEARCH = Path(__file__).parents[2] / "search.py"
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, "mlgsearch.study.drive"])
#: What the modules are loaded under, however the first test that forks has changed its own.
_ENVIRONMENT = dict(os.environ)


class FreshProcess(subprocess.Popen[str]):
    """One that loads everything itself, for what depends on that."""

    stdout: IO[str]

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], errors: Path
    ) -> None:
        with errors.open("a") as file:
            super().__init__(
                [sys.executable, str(_SEARCH), *arguments],
                cwd=folder,
                env=environment,
                process_group=0,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )


class WarmProcess:
    """One of them, with those members of `subprocess.Popen` that a driver needs."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], errors: Path
    ) -> None:
        with patch.dict(os.environ, _ENVIRONMENT, clear=True):
            forkserver.ensure_running()
        read, write = _FORKS.Pipe(duplex=False)
        self._process = _FORKS.Process(
            target=_run,
            args=(list(arguments), folder, dict(environment), write, errors),
            kwargs={"ignores_hangups": signal.getsignal(signal.SIGHUP) is signal.SIG_IGN},
        )
        self._process.start()
        write.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.stdout = os.fdopen(os.dup(read.fileno()), encoding="utf-8")
        read.close()

    def poll(self) -> int | None:
        """Return the exit code, -N where signal N ended it, None where it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Wait for its end; return the exit code.

        Raises:
            TimeoutExpired: it runs longer than ``timeout`` seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("search.py", timeout)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)


@atexit.register
def _kill_what_a_failed_test_left() -> None:
    """End drivers before multiprocessing waits for them."""
    for process in multiprocessing.active_children():
        process.kill()


def _run(
    arguments: list[str],
    folder: Path,
    environment: dict[str, str],
    out: Connection,
    errors: Path,
    *,
    ignores_hangups: bool,
) -> None:
    """Be `search.py`, started in a folder."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN if ignores_hangups else signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    Config.initialize("")  # what Ray read in the process that this one is forked from
    os.dup2(out.fileno(), 1)
    out.close()
    with errors.open("a") as file:
        os.dup2(file.fileno(), 2)
    sys.argv = [str(_SEARCH), *arguments]  # Ray looks for modules in the script's folder
    try:
        main()
    finally:
        atexit._run_exitfuncs()  # what multiprocessing leaves out

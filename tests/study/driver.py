"""A driver in a process of its own, as its users run it: started, watched, killed."""

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from typer.testing import CliRunner

from mlgsearch.cli.app import app
from tests.study.driver_process import FreshProcess, WarmProcess

ROOT = Path(__file__).parents[2]

#: A study of a few seconds: a third of the digits, a tiny network.
STUDY = """
name: tiny
data: {name: digits, limit: 600}
model: {name: resnet8, width: 4}
teacher: {training: {optimiser: adamw, schedule: one_cycle, epochs: 8, learning_rate: 0.02}}
training: {optimiser: adamw, schedule: one_cycle, epochs: 4, learning_rate: 0.02}
space: {kind: layerwise, B_in: [1, 4], B_out: [1, 16]}
search:
  sampler: tpe
  n_trials: 6
  seed: 3
  first: [[2, 8, 4, 6, 4]]
"""

#: One of two trials, each of one epoch, by one worker: each loads torch and Ray anew.
SHORT_STUDY = """
name: tiny
data: {name: digits, limit: 300}
model: {name: resnet8, width: 4}
teacher: {training: {epochs: 1}}
training: {epochs: 1}
space: {kind: uniform}
search: {sampler: random, n_trials: 2}
resources: {max_parallel: 1}
"""


class Study:
    """A study file with a database of its own, an SQLite file in its folder or at ``url``."""

    def __init__(self, folder: Path, cache: Path, text: str = STUDY, url: str | None = None):
        self.folder = folder
        self.file = folder / "tiny.yaml"
        self.file.write_text(text)
        self.url = url or f"sqlite:///{folder / 'a.db'}"
        self._cache = cache

    def start(self, *arguments: str, fresh: bool = False) -> "Driver":
        """Start a driver that prints JSON; a fresh one where libraries read the environment."""
        words = [*arguments, "--storage", self.url, "--json"]
        return Driver(words, self.folder, self._cache, FreshProcess if fresh else WarmProcess)

    def run(self, *arguments: str) -> list[dict[str, Any]]:
        """Run a driver to its end, which must be good."""
        driver = self.start(*arguments)
        events = driver.read_to_end()
        assert driver.wait() == 0, driver.errors()
        return events

    def front(self) -> list[dict[str, Any]]:
        """Read the front as a script would."""
        words = ["front", "tiny", "--format", "json", "--storage", self.url]
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        rows = json.loads(done.stdout)
        assert isinstance(rows, list)
        return rows

    def logged(self) -> dict[int, list[dict[str, Any]]]:
        """Read every trial's own log of events."""
        return {
            int(path.parent.name): [json.loads(line) for line in path.read_text().splitlines()]
            for path in self.folder.glob("*runs/*/*/events.jsonl")
        }

    def logs(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Read every training's own log, also of trials that were trained again."""
        for path in sorted(self.folder.glob("*runs/**/events.jsonl")):
            lines = path.read_text().splitlines()
            yield str(path.parent.relative_to(self.folder)), [json.loads(line) for line in lines]

    def repeated_epochs(self) -> list[tuple[int, int]]:
        """List (trial, epoch) that were finished more than once."""
        counts = Counter(
            (number, event["epoch"])
            for number, events in self.logged().items()
            for event in events
            if event["event"] == "epoch"
        )
        return [key for key, count in counts.items() if count > 1]


class Driver:
    """One process of `search.py`, in a process group of its own, as on a terminal."""

    def __init__(
        self,
        arguments: list[str],
        folder: Path,
        cache: Path,
        process: type[WarmProcess | FreshProcess] = WarmProcess,
        environment: Mapping[str, str] = os.environ,
    ):
        self._errors = folder / "stderr.txt"
        own = {**environment, "MLGSEARCH_CACHE": str(cache)}
        self._process = process(arguments, folder, own, self._errors)
        self.seen: list[dict[str, Any]] = []

    def read_until(self, is_enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read events up to the first that is enough."""
        for line in self._process.stdout:
            event = json.loads(line)
            assert isinstance(event, dict)
            self.seen.append(event)
            if is_enough(event):
                return event
        raise AssertionError(f"the driver ended before: {self.errors()}")

    def read_to_end(self) -> list[dict[str, Any]]:
        """Read all events."""
        self.seen += [json.loads(line) for line in self._process.stdout]
        return self.seen

    def lines(self) -> Iterator[str]:
        """Return the lines that it prints, as they come, up to its end."""
        yield from self._process.stdout

    def close_stdout(self) -> None:
        """Go away from what it prints, as `head` does."""
        self._process.stdout.close()

    def is_running(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.poll() is None

    def linger(self, seconds: float) -> None:
        """Let it go on for a moment, so that a signal meets it anywhere."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def send(self, number: signal.Signals, *, to_group: bool = False) -> None:
        """Send a signal to it, or to it and to all processes that it started."""
        if to_group:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)

    def family(self) -> list[psutil.Process]:
        """List every process that it started."""
        return psutil.Process(self._process.pid).children(recursive=True)

    def kill_with_workers(self) -> None:
        """Kill the driver and every process that it started, at once and for good."""
        if self._process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                for process in [psutil.Process(self._process.pid), *self.family()]:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        code = self._process.wait(timeout=120)
        self._process.stdout.close()
        return code

    def errors(self) -> str:
        """Return what it wrote on stderr."""
        return self._errors.read_text()

"""Streams that go away: pipes without a reader, full disks, with real files and processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from rich.console import Console

from mlgsearch.cli.progress.events import JsonEvents
from mlgsearch.cli.progress.lines import PlainLines
from mlgsearch.cli.progress.live import LiveView
from mlgsearch.cli.progress.steady_stream import steady
from mlgsearch.records import TrialState
from tests.results.leases import trials_of
from tests.results.samples import a_complete, a_study, an_epoch
from tests.study.driver import ROOT, SHORT_STUDY, Study


def closed_pipe() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def full_disk() -> TextIO:
    return Path("/dev/full").open("w")


def a_closed_stream() -> TextIO:
    with Path(os.devnull).open("w") as stream:
        return stream


@pytest.fixture(params=[closed_pipe, full_disk, a_closed_stream])
def gone(request: pytest.FixtureRequest) -> Iterator[TextIO]:
    stream: TextIO = request.param()
    yield stream
    stream.close()  # and so flushes what is left


def test_it_falls_silent_and_says_so_once(gone: TextIO) -> None:
    reported: list[str] = []
    stream = steady(gone, reported.append)
    for _ in range(3):
        stream.write("a line\n" * 5_000)
        stream.flush()
    assert len(reported) == 1
    assert reported[0] in (
        "Broken pipe",
        "No space left on device",
        "I/O operation on closed file.",
    )


def test_every_view_outlasts_it(gone: TextIO) -> None:
    reported: list[str] = []
    stream = steady(gone, reported.append)
    with LiveView(Console(file=stream, force_terminal=True)) as live:
        for view in (PlainLines(stream), JsonEvents(stream), live):
            view.preparing("teacher", 1, 2, "")
            view.started(a_study(), [], 1)
            view.trial(a_complete(0, 0.9, 0.1), [an_epoch(1)])
    assert len(reported) == 1


def test_what_an_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        steady(file).write("größer\n")
    assert (tmp_path / "out").read_text() == "gr\\xf6\\xdfer\n"


def test_it_is_the_stream_in_all_else(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file:
        stream = steady(file)
        assert (stream.fileno(), stream.isatty()) == (file.fileno(), False)
        assert stream.write("abc") == 3
    assert (tmp_path / "out").read_text() == "abc"


@pytest.mark.parametrize("make", [closed_pipe, full_disk])
def test_a_study_goes_on_without_its_stdout(tmp_path: Path, make: type[TextIO]) -> None:
    study = Study(tmp_path, tmp_path / "cache", SHORT_STUDY)
    words = [str(ROOT / "search.py"), "launch", str(study.file), "--storage", study.url]
    with make() as out:
        done = subprocess.run(
            [sys.executable, *words, "--max-parallel", "1"],
            cwd=tmp_path,
            env=os.environ | {"MLGSEARCH_CACHE": str(tmp_path / "cache")},
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("stdout cannot be written") == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    trials = trials_of(study.url, "tiny")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2


@pytest.mark.parametrize(("make", "code", "said"), [(closed_pipe, 1, ""), (full_disk, 2, "error:")])
def test_a_command_that_only_shows_ends(make: type[TextIO], code: int, said: str) -> None:
    with make() as out:
        done = subprocess.run(
            [sys.executable, str(ROOT / "search.py"), "--help"],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr[:6]) == (code, said)
    assert done.stderr.count("\n") == (1 if said else 0)

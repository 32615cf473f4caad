"""What runs a student of one image: torch, onnxruntime, or a command that gets an ONNX file."""

import math
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

import torch

from mlgsearch.errors import UserError
from mlgsearch.mlg.packing.packed import pack_network
from mlgsearch.mlg.running.generation import keep_generated
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.study.target.students import Students
from mlgsearch.train.device import memory_format
from mlgsearch.train.files.onnx.graph import marked_graph, onnx_needed

if TYPE_CHECKING:
    from onnx import ModelProto

#: Runs once and returns the milliseconds it took.
Run = Callable[[], float]

#: A command may take so long for one file, in seconds.
_PATIENCE_S = 600.0


class Runner(Protocol):
    """Runs students.

    ``runtime`` says whose rule chooses layers' forms. What ``repeats_itself`` is not timed again.
    """

    runtime: str
    repeats_itself: bool

    def prepare(self, settings: Mapping[str, LayerSetting]) -> Run:
        """Make a student ready to run."""


def runner_of(name: str, students: Students) -> Runner:
    """Return the runner called ``torch`` or ``onnxruntime``; any other name is a command.

    Raises:
        UserError: onnx or onnxruntime is needed and not installed, or the command is no command.
    """
    if name == "torch":
        return TorchRunner(students)
    if name == "onnxruntime":
        return OnnxRunner(students)
    return CommandRunner(students, name)


class TorchRunner:
    """One image through torch, on one thread, in processor time; weights are made before."""

    runtime = "torch"
    repeats_itself = False

    def __init__(self, students: Students) -> None:
        self._students = students

    def prepare(self, settings: Mapping[str, LayerSetting]) -> Run:
        """Make the student, and run it twice."""
        layout = memory_format(self._students.input_shape)
        network = self._students.student(settings).to(memory_format=layout)
        keep_generated(network)
        image = torch.rand(1, *self._students.input_shape).contiguous(memory_format=layout)

        def run() -> float:
            with torch.inference_mode():
                began = time.thread_time()
                network(image)
                return 1000 * (time.thread_time() - began)

        run()
        run()
        return run


class OnnxFiles:
    """Compressed ONNX files of students whose graph is traced once.

    Raises:
        UserError: onnx is not installed, or the network cannot be expressed.
    """

    def __init__(self, students: Students) -> None:
        self._students = students
        self._traced: ModelProto | None = None

    def content(self, settings: Mapping[str, LayerSetting]) -> bytes:
        """Return the file of one student."""
        with onnx_needed():
            from mlgsearch.train.files.onnx.onnx_file import (
                compressed_onnx,  # an optional dependency
            )
        network, card = self._students.student(settings), self._students.card(settings)
        if self._traced is None:
            self._traced = marked_graph(network, card)
        tensors = pack_network(network, card.method)
        model = compressed_onnx(network, card, tensors, traced=deepcopy(self._traced))
        content: bytes = model.SerializeToString()
        return content


class OnnxRunner:
    """One image through onnxruntime, on one thread, in processor time."""

    runtime = "onnx"
    repeats_itself = False

    def __init__(self, students: Students) -> None:
        self._files = OnnxFiles(students)
        self._input_shape = students.input_shape

    def prepare(self, settings: Mapping[str, LayerSetting]) -> Run:
        """Open the student's file, and run it twice."""
        with onnx_needed():
            import onnxruntime  # an optional dependency
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            self._files.content(settings), options, providers=["CPUExecutionProvider"]
        )
        given = {"images": torch.rand(1, *self._input_shape).numpy()}

        def run() -> float:
            began = time.thread_time()
            session.run(["logits"], given)
            return 1000 * (time.thread_time() - began)

        run()
        run()
        return run


class CommandRunner:
    """A command that gets the path of an ONNX file and prints milliseconds, last of all it prints.

    Raises:
        UserError: it is empty, or its quotes do not match.
    """

    runtime = "onnx"
    repeats_itself = True

    def __init__(self, students: Students, command: str) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UserError(f"--on: {command!r}: {error}") from None
        if not self._words:
            raise UserError("--on: is empty; write torch, onnxruntime or a command")
        self._files = OnnxFiles(students)

    def prepare(self, settings: Mapping[str, LayerSetting]) -> Run:
        """Write the student's file anew for each run."""
        content = self._files.content(settings)

        def run() -> float:
            with TemporaryDirectory(prefix="mlgsearch-") as folder:
                path = Path(folder) / "student.onnx"
                path.write_bytes(content)
                return self._run([*self._words, str(path)])

        return run

    def _run(self, words: list[str]) -> float:
        shown = f"--on: {self._words[0]}"
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
            )
        except OSError as error:
            raise UserError(f"{shown}: cannot be run: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise UserError(f"{shown}: did not end within {_PATIENCE_S:g} s") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it printed no error"])[-1]
            raise UserError(f"{shown}: ended with exit code {done.returncode}: {last}")
        last = (done.stdout.strip().splitlines() or [""])[-1].strip()
        try:
            found = float(last)
        except ValueError:
            found = math.nan
        if not (math.isfinite(found) and found > 0):
            raise UserError(
                f"{shown}: the last line it printed is {last!r}, expected milliseconds, such as "
                "12.5"
            )
        return found

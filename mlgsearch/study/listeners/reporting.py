"""Opening a study's listeners, and passing a driver's events on without waiting for them."""

import queue
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from mlgsearch.errors import UserError
from mlgsearch.named import named
from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord, TrialState
from mlgsearch.study.file.spec import ListenersSpec
from mlgsearch.study.progress_view import ProgressView

#: So often a packed file is tried, once per event, before a run ends without it.
_MOST_TRIES = 20
_CLASSES = {"tensorboard": "TensorBoard", "mlflow": "Mlflow", "wandb": "Wandb"}


class Listener(Protocol):
    """A tracker; every method may raise, and is called from one thread of its own."""

    #: What it is called in messages and in the study file.
    name: str

    def begin(self, study: StudyRecord) -> None:
        """Open the study's experiment, or go on with it."""

    def epochs(self, trial: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Add epochs to a trial's run, which begins with the first call for it."""

    def end(self, trial: TrialRecord, packed: Path | None) -> None:
        """End a trial's run, with its sizes and its packed file where there is one."""

    def close(self) -> None:
        """Write what is not written yet."""


def open_listeners(spec: ListenersSpec) -> list[Listener]:
    """Return the listeners that a study file names; nothing is written or sent yet.

    Raises:
        UserError: a package is missing, or an address is not one that the tracker knows.
    """
    found: list[Listener] = []
    for name, where in spec:
        if where is None:
            continue
        try:
            listener = named(f"mlgsearch.study.listeners.{name}:{_CLASSES[name]}")
        except ImportError as error:
            raise UserError(
                f"listeners.{name}: needs a package that is not installed ({error}): "
                f"pip install 'mlgsearch[{name}]'"
            ) from None
        try:
            found.append(listener(where))
        except Exception as error:  # a tracker may raise anything
            raise UserError(
                f"listeners.{name}: {where!r} cannot be used: {first_line(error)}"
            ) from error
    return found


class Reporting:
    """A view that passes everything on to another one, and to listeners in the background.

    A listener that raises is dropped, with one notice: no tracker stops or slows a study.

    Args of the constructor:
        view: called at once, in the caller's thread.
        listeners: called one after another in a thread of their own.
        pack: writes a COMPLETE trial's packed file to a path.
    """

    def __init__(
        self, view: ProgressView, listeners: Sequence[Listener], pack: Callable[[int, Path], object]
    ) -> None:
        self._view = view
        self._listeners = list(listeners)
        self._pack = pack
        self._events: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._notices: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._unpacked: dict[int, tuple[TrialRecord, int]] = {}  # by number, with the tries so far
        self._thread = threading.Thread(target=self._work, name="listeners", daemon=True)
        self._thread.start()

    def preparing(self, stage: str, done: int, total: int, note: str) -> None:
        """Pass it on."""
        self._view.preparing(stage, done, total, note)

    def notice(self, text: str) -> None:
        """Pass it on."""
        self._view.notice(text)

    def started(self, study: StudyRecord, trials: Sequence[TrialRecord], at_once: int) -> None:
        """Pass it on, and open the experiment; trials known from before were reported before."""
        self._view.started(study, trials, at_once)
        self._events.put(lambda: self._to_all(lambda listener: listener.begin(study)))

    def trial(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Pass it on, and report epochs and the end of a trial."""
        self._view.trial(record, epochs)
        known = tuple(epochs)
        self._events.put(lambda: self._report(record, known))
        self._pass_notices_on()

    def close(self, patience_s: float) -> None:
        """Wait so long at most until all is reported, and pass on why something was not."""
        self._events.put(lambda: self._end_unpacked(is_last=True))
        self._events.put(lambda: self._to_all(lambda listener: listener.close()))
        self._events.put(None)
        self._thread.join(patience_s)
        self._pass_notices_on()
        if self._thread.is_alive():
            names = ", ".join(listener.name for listener in self._listeners)
            self._view.notice(
                f"listeners: {names} did not take everything within {patience_s:g} s: what is "
                "left is not reported; the database has it"
            )

    def _work(self) -> None:
        while (event := self._events.get()) is not None:
            event()

    def _report(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        if epochs or not record.state.is_finished:
            self._to_all(lambda listener: listener.epochs(record, epochs))
        if record.state is TrialState.COMPLETE:
            self._unpacked[record.number] = record, 0
        elif record.state.is_finished:
            self._to_all(lambda listener: listener.end(record, None))
        self._end_unpacked(is_last=False)

    def _end_unpacked(self, *, is_last: bool) -> None:
        """End the runs whose packed file can be written: the database may lag behind."""
        if not self._listeners:
            self._unpacked.clear()
        for number, (record, tries) in list(self._unpacked.items()):
            self._unpacked[number] = record, tries + 1
            with tempfile.TemporaryDirectory(prefix="mlgsearch-") as folder:
                packed = self._packed(record, Path(folder))
                if packed is not None or is_last or tries + 1 == _MOST_TRIES:
                    del self._unpacked[number]
                    self._to_all(partial(_end, record=record, packed=packed))

    def _packed(self, record: TrialRecord, folder: Path) -> Path | None:
        path = folder / f"trial-{record.number:06d}.mlg"
        try:
            self._pack(record.number, path)
        except Exception:  # noqa: BLE001 - the database, the store, or code of the user's
            return None
        return path

    def _to_all(self, act: Callable[[Listener], None]) -> None:
        for listener in list(self._listeners):
            try:
                act(listener)
            except Exception as error:  # noqa: BLE001 - a tracker may raise anything
                self._listeners.remove(listener)
                said = f"listeners.{listener.name}: {first_line(error)}"
                self._notices.put(f"{said}: nothing more is reported to it")

    def _pass_notices_on(self) -> None:
        while not self._notices.empty():
            self._view.notice(self._notices.get())


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _end(listener: Listener, record: TrialRecord, packed: Path | None) -> None:
    listener.end(record, packed)

"""From a finished trial to a file that its user takes home."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Literal

from torch import nn

from mlgsearch.errors import DataError, UserError
from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.artifacts.store import artifacts_of
from mlgsearch.train.files.dense_file import write_dense, write_dense_onnx
from mlgsearch.train.files.onnx_graph import needs_onnx
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import write_packed
from mlgsearch.train.student.finished_student import FinishedStudent, open_student

ExportFormat = Literal["packed", "dense", "onnx", "dense_onnx", "c"]


def _write_onnx(path: Path, network: nn.Module, card: PackedCard) -> int:
    try:
        from mlgsearch.train.files.onnx_file import write_onnx  # an optional dependency
    except ImportError as error:
        raise needs_onnx(error) from error
    return write_onnx(path, network, card)


def _write_c(path: Path, network: nn.Module, card: PackedCard) -> int:
    try:
        from mlgsearch.train.files.c_folder import write_c  # an optional dependency
    except ImportError as error:
        raise needs_onnx(error) from error
    return write_c(path, network, card)


_WRITERS: Mapping[ExportFormat, Callable[[Path, nn.Module, PackedCard], int]] = {
    "packed": write_packed,
    "dense": write_dense,
    "onnx": _write_onnx,
    "dense_onnx": write_dense_onnx,
    "c": _write_c,
}


def export_trial(
    store: ResultStore,
    runs: Path,
    study: str,
    number: int,
    out: Path,
    *,
    kind: ExportFormat = "packed",
    may_replace: bool = False,
    allowed_code: Collection[str] = (),
) -> int:
    """Write a COMPLETE trial's student to a file, and give the file's size in bytes.

    ``c`` writes two files into the folder ``out``; their sizes are added.

    It comes from the trial's last checkpoint, under ``runs`` unless the study keeps them elsewhere;
    a trial that shares another's result is written from that one's. Nothing is trained. A network
    of one's own is imported where ``allowed_code`` has the ``module:callable`` that the checkpoint
    names.

    Raises:
        CodeNotAllowedError: it names other code.
        StudyNotFoundError: there is no such study.
        TrialNotFoundError: it has no such trial.
        UserError: the trial is not COMPLETE, ``out`` exists and may not be replaced, or cannot be
            written.
        ArtifactsAwayError: the store of checkpoints does not answer.
        DataError: the checkpoint is missing, damaged, or not of this trial.
    """
    record = store.trial(study, number)
    if record.state is not TrialState.COMPLETE:
        raise UserError(
            f"trial {number} of {study!r} is {record.state.value}: only a COMPLETE one is exported"
        )
    _require_free(out, is_folder=kind == "c", may_replace=may_replace)
    student = _student(store, runs, study, record, allowed_code)
    card = student.card.model_copy(
        update={"study": study, "trial": number, "accuracy": record.accuracy}
    )
    try:
        return _WRITERS[kind](out, student.network, card)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from error


def _require_free(out: Path, *, is_folder: bool, may_replace: bool) -> None:
    """Raise UserError where ``out``, to be a folder or a file, is in the way."""
    try:
        is_there, is_other = out.exists(), out.exists() and out.is_dir() != is_folder
    except OSError as error:  # a name that no file can have
        raise UserError(f"{out}: cannot be written: {error.strerror}") from error
    if is_other or (is_there and not may_replace):
        what = "exists: write --force to replace it"
        if is_other:
            what = "is a file, and C is written as a folder" if is_folder else "is a folder"
        raise UserError(f"{out}: {what}")


def _student(
    store: ResultStore,
    runs: Path,
    study: str,
    record: TrialRecord,
    allowed_code: Collection[str],
) -> FinishedStudent:
    source = record.number if record.reused_from is None else record.reused_from
    artifacts = artifacts_of(store.study(study), runs)
    try:
        with artifacts.last(source) as directory:
            student = open_student(directory, allowed_code)
    except DataError as error:
        raise DataError(
            f"trial {source} of {study!r}: {error} (kept in {artifacts.place})"
        ) from error
    if student.fingerprint != record.fingerprint or student.epochs_done != record.epochs_wanted:
        raise DataError(
            f"trial {source} of {study!r}: its checkpoint in {artifacts.place} is not the end of "
            f"it, but epoch {student.epochs_done} of job {student.fingerprint[:12]}"
        )
    return student

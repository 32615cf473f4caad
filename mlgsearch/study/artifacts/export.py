"""From a finished trial to the file that is exported."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from mlgsearch.errors import DataError, UserError
from mlgsearch.records import ExportFormat, TrialRecord, TrialState
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.artifacts.store import artifacts_of
from mlgsearch.train.files.student_file import at_norm_bits, require_free, write_student
from mlgsearch.train.student.finished_student import FinishedStudent, open_student


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
    norm_bits: int | None = None,
) -> int:
    """Write a COMPLETE trial's student to a file, and give the file's size in bytes.

    ``c`` writes two files into the folder ``out``; their sizes are added. ``norm_bits`` are as for
    `at_norm_bits`.

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
    record = _complete(store, study, number)
    require_free(out, kind, may_replace=may_replace)
    student = _student(store, runs, study, record, allowed_code)
    card = at_norm_bits(student.card, kind, norm_bits)
    return write_student(kind, out, student.network, card)


def open_trial(
    store: ResultStore,
    runs: Path,
    study: str,
    number: int,
    allowed_code: Collection[str] = (),
) -> FinishedStudent:
    """Return the student of a COMPLETE trial, as `export_trial` writes it.

    Raises:
        UserError: as `export_trial`, but for the file.
    """
    return _student(store, runs, study, _complete(store, study, number), allowed_code)


def _complete(store: ResultStore, study: str, number: int) -> TrialRecord:
    record = store.trial(study, number)
    if record.state is not TrialState.COMPLETE:
        raise UserError(
            f"trial {number} of {study!r} is {record.state.value}: only a COMPLETE one is exported"
        )
    return record


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
    origin = {"study": study, "trial": record.number, "accuracy": record.accuracy}
    return replace(student, card=student.card.model_copy(update=origin))

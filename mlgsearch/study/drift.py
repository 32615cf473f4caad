"""What became different since a study began: its file, the libraries, the data, the teacher."""

from collections.abc import Mapping, Sequence
from math import isclose

from mlgsearch.errors import StudyConflictError
from mlgsearch.records import StudyRecord
from mlgsearch.results.analysis.difference import differing_keys
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import parse_study

#: Keys that change no trial's result.
_FREE = (
    "search.n_trials:",
    "search.stop",
    "resources.",
    "listeners.",
    "references:",
    "latency.file:",
)
#: Keys that give a trial's coordinates or values another meaning: such studies cannot be joined.
_FIXED = ("space.", "model.", "search.objectives:", "latency")

#: Less than one of a million images; a metric of the user's own may round otherwise elsewhere.
_SAME_ACCURACY = 1e-7


def file_changes(known: StudyRecord, spec: StudySpec) -> list[str]:
    """List the keys of the study file that differ, with both values."""
    if known.content_hash == spec.content_hash():
        return []
    stored = parse_study(known.content, f"study {known.name!r}")
    if stored.content_hash() == spec.content_hash():
        return []  # a key newer than the record has its default
    lines = differing_keys(_brief(known.content), _brief(spec.content()))
    return [line for line in lines if not line.startswith(_FREE)]


def _brief(content: Mapping[str, object]) -> dict[str, object]:
    """Leave out the text of the table of latency: its hash says whether it differs."""
    latency = content.get("latency")
    if not isinstance(latency, Mapping):
        return dict(content)
    return {**content, "latency": {k: v for k, v in latency.items() if k != "table"}}


def other_changes(
    known: StudyRecord,
    versions: Mapping[str, str],
    data_hash: str,
    teacher_hash: str,
    teacher_recipe: str = "",
    teacher_accuracy: float | None = None,
) -> list[str]:
    """List the libraries that differ, the data and the teacher, with both versions or hashes.

    What the record does not know yet is no change.
    """
    lines = [
        f"library {name}: {version} -> {versions.get(name, 'none')}"
        for name, version in sorted(known.versions.items())
        if versions.get(name) != version
    ]
    if known.data_hash and known.data_hash != data_hash:
        lines.append(f"data: {known.data_hash[:12]} -> {data_hash[:12]}")
    return lines + teacher_changes(known, teacher_hash, teacher_recipe, teacher_accuracy)


def teacher_changes(
    known: StudyRecord, teacher_hash: str, recipe: str = "", accuracy: float | None = None
) -> list[str]:
    """Return a line that says how the teacher differs from the record's; none if it does not.

    An early version recorded the recipe in place of the weights: of such a teacher only the
    accuracy on the validation part says whether it is the same.
    """
    old, was = known.teacher_hash, known.teacher_accuracy
    if old in ("", teacher_hash):
        return []
    if old != recipe:
        return [f"teacher: {old[:12]} -> {teacher_hash[:12]}"]
    if was is None or accuracy is None or isclose(was, accuracy, abs_tol=_SAME_ACCURACY):
        return []
    return [f"teacher: accuracy {was:.6g} -> {accuracy:.6g}"]


def refuse(name: str, changes: Sequence[str], *, accepts: bool) -> None:
    """Raise unless the user accepts the changes of a study, and they are possible.

    Raises:
        StudyConflictError: it cannot, or is not accepted; the message names what changed.
    """
    fixed = [line for line in changes if line.startswith(_FIXED)]
    listed = "\n  ".join(fixed if accepts else changes)
    if accepts and fixed:
        raise StudyConflictError(
            f"study {name!r} cannot be joined with trials of another space, network or objectives "
            f"(stored -> now):\n  {listed}\ngive the file another name"
        )
    if changes and not accepts:
        raise StudyConflictError(
            f"study {name!r} differs from what it began with (stored -> now):\n  {listed}\n"
            "its trials would not compare: undo the change, or write --accept-change, which "
            "records it and goes on, or launch the file under another name"
        )

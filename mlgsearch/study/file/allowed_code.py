"""Code of a study's user: imported where the user names it, never because a database does."""

from collections.abc import Collection
from pathlib import Path

from mlgsearch.errors import CodeNotAllowedError
from mlgsearch.records import StudyRecord
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.train.own_code import add_code_folder, names_code


def named_code(spec: StudySpec) -> dict[str, str]:
    """Return every ``module:callable`` of a specification by the key that names it."""
    names = {
        "data.name": spec.data.name,
        "model.name": spec.model.name,
        "search.sampler": spec.search.sampler,
    }
    return {key: name for key, name in names.items() if names_code(name)}


def offer_code(spec: StudySpec) -> str | None:
    """Make the code that a specification names importable from the working folder.

    Returns:
        The folder, which workers must look in as well; None where no code is named: then nothing is
        imported from there.
    """
    if not named_code(spec):
        return None
    add_code_folder(Path.cwd())
    return str(Path.cwd())


def stored_spec(study: StudyRecord, allowed_code: Collection[str]) -> StudySpec:
    """Read what a database says of a study that is to be run.

    A study file is its user's own, a database may be written by others. So all code that the stored
    content names must be in ``allowed_code``, as ``module:callable``, word for word; nothing is
    imported here.

    Raises:
        CodeNotAllowedError: it names other code; the message says what to write.
        StudyFileError: the content is not valid for this version.
    """
    spec = parse_study(study.content, f"study {study.name!r}")
    refused = {key: name for key, name in named_code(spec).items() if name not in allowed_code}
    if refused:
        named = ", ".join(f"{key}: {name!r}" for key, name in refused.items())
        flags = " ".join(f"--allow-code {name}" for name in dict.fromkeys(refused.values()))
        raise CodeNotAllowedError(
            f"study {study.name!r} as stored names code of its user ({named}). Others may have "
            "written that, so nothing of it was imported: `launch` the study's own file, or, where "
            f"you know that code, add {flags}"
        )
    return spec

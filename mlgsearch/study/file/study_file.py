"""Read a study file: its YAML, its mistakes by key, and the places that its paths mean."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlgsearch.errors import StudyFileError
from mlgsearch.study.file import strict_yaml
from mlgsearch.study.file.artifact_path import is_url
from mlgsearch.study.file.latency import LatencySpec, read_latency
from mlgsearch.study.file.search_spec import is_table
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.validation_messages import validation_messages
from mlgsearch.train.spec import TIMM


def load_study_file(path: Path, *, reads_latency: bool = True) -> tuple[StudySpec, str]:
    """Read a study file.

    Relative paths in it (``data.root`` and a folder's parts, ``teacher.checkpoint``, ``latency``,
    tables of ``search.warm_start``, ``resources.artifact_path``, ``listeners.tensorboard``) are
    taken from the file's folder.

    Args:
        path: of the file.
        reads_latency: whether the table of latency must be there; without, it is left out.

    Returns:
        The specification, and the file's text.

    Raises:
        StudyFileError: the file cannot be read or says something wrong; every mistake has a line.
    """
    try:
        with path.open(encoding="utf-8") as file:  # no more of it than shows that it is too large
            text = file.read(strict_yaml.MAX_BYTES + 1)
    except FileNotFoundError:
        raise StudyFileError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(f"{path}: cannot be read: {error}") from None
    content = strict_yaml.load(text, str(path))
    return study_in(path.parent, content, str(path), reads_latency=reads_latency), text


def study_in(folder: Path, content: Any, where: str, *, reads_latency: bool = True) -> StudySpec:
    """Validate the content of a study file that lies in a folder, from which its paths are taken.

    ``reads_latency`` as for `load_study_file`.

    Raises:
        StudyFileError: as `parse_study`, or the table of latency cannot be read.
    """
    spec = _with_paths_from(folder, parse_study(content, where))
    if spec.latency is not None and reads_latency:
        try:
            spec = spec.model_copy(update={"latency": read_latency(Path(spec.latency.file))})
        except StudyFileError as error:
            raise StudyFileError(f"{where}: {error}") from None
    return spec


def parse_study(content: Any, where: str) -> StudySpec:
    """Validate a study file's content.

    Raises:
        StudyFileError: with one line for each mistake, `where: key: what is wrong`.
    """
    if not isinstance(content, Mapping):
        raise StudyFileError(f"{where}: must hold keys and values, such as `name: my-study`")
    try:
        return StudySpec.model_validate(content)
    except ValidationError as error:
        lines = validation_messages(error, StudySpec, where)
        raise StudyFileError("\n".join(lines)) from None


def _with_paths_from(folder: Path, spec: StudySpec) -> StudySpec:
    def absolute(text: str | None) -> str | None:
        if text is None:
            return None
        return os.path.normpath(folder.absolute() / Path(text).expanduser())

    asked = spec.resources.artifact_path
    kept = asked if asked is not None and is_url(asked) else absolute(asked)
    resources = spec.resources.model_copy(update={"artifact_path": kept})
    data = spec.data
    if data.root is not None:  # the parts' folders are below it
        data = data.model_copy(update={"root": absolute(data.root)})
    else:
        parts = {"train": data.train, "validation": data.validation_folder, "test": data.test}
        given = {part: absolute(text) for part, text in parts.items() if text is not None}
        data = data.model_copy(update=given)
    weights = spec.teacher.checkpoint
    checkpoint = weights if weights == TIMM else absolute(weights)
    teacher = spec.teacher.model_copy(update={"checkpoint": checkpoint})
    tables = [absolute(name) if is_table(name) else name for name in spec.search.warm_start]
    search = spec.search.model_copy(update={"warm_start": tuple(tables)})
    folder_of_events = {"tensorboard": absolute(spec.listeners.tensorboard)}
    changed = {
        "data": data,
        "teacher": teacher,
        "resources": resources,
        "listeners": spec.listeners.model_copy(update=folder_of_events),
        "search": search,
    }
    if spec.latency is not None:
        changed["latency"] = LatencySpec(file=absolute(spec.latency.file) or "")
    return spec.model_copy(update=changed)

"""The words of a study file, for functions that take a part of one."""

from collections.abc import Mapping
from typing import Any

from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import parse_study

#: A section of a study file as keys and values; docs/study-file.md lists them.
Section = Mapping[str, Any]


def study_spec(where: str, **sections: Section | None) -> StudySpec:
    """Return the specification of which some sections are given, the others at their defaults.

    Raises:
        StudyFileError: a key is unknown or a value is wrong; one line for each, after ``where``.
    """
    given = {name: dict(section) for name, section in sections.items() if section is not None}
    return parse_study({"name": "mlgsearch", **given}, where)

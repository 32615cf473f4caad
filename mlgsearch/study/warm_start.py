"""Settings to begin with, from earlier studies and from tables of other tools."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlgsearch.errors import StudyFileError, StudyNotFoundError
from mlgsearch.records import FIVE_NAMES, TrialRecord, TrialState
from mlgsearch.results.analysis.front import front, middles_first
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.file.search_spec import FirstTrial, is_table
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import parse_study

#: The most settings that are taken of one study.
MOST = 8

#: What a layer gets that an earlier setting does not name, because it is not searched.
_OTHERS = (0, 0, 8, 0, 0)
_OPTUNA_COLUMN = re.compile(r"params_(?P<layer>.+)/(?P<number>\w+)")


def warm_started(spec: StudySpec, store: ResultStore | None) -> StudySpec:
    """Return the specification with what ``search.warm_start`` names added to ``search.first``.

    A study that is stored keeps what it began with, whatever became of those that it named.

    Args:
        spec: of the study file.
        store: of this study's database, where the studies named are; None where only tables are.

    Raises:
        StudyFileError: a study or a file named does not exist, cannot be read, is of another
            network, or has no finished student.
    """
    if not spec.search.warm_start:
        return spec
    stored = None
    if store is not None:
        with suppress(StudyNotFoundError):
            content = store.study(spec.name).content
            stored = parse_study(content, f"study {spec.name!r}").search
    given = [first for first in spec.search.first if first.source is None]
    found: list[FirstTrial]
    if (
        stored is not None
        and stored.warm_start == spec.search.warm_start
        and [first for first in stored.first if first.source is None] == given
    ):
        found = list(stored.first)
    else:
        found = given
        for name in spec.search.warm_start:
            if is_table(name):
                found += _of_file(Path(name))
            else:
                assert store is not None, "a study is named, but there is no database"
                found += _of_study(name, spec, store)
    search = spec.search.model_copy(update={"first": tuple(found)})
    return spec.model_copy(update={"search": search})


def origins(spec: StudySpec) -> list[str]:
    """Return where the first settings that were taken over come from, a line for each source."""
    return list(
        dict.fromkeys(
            first.source.rpartition(": ")[0]
            for first in spec.search.first
            if first.source is not None
        )
    )


def _of_study(name: str, spec: StudySpec, store: ResultStore) -> list[FirstTrial]:
    """Return the front of a stored study: at most ``MOST`` of it, spread over it."""
    where = f"search.warm_start: {name!r}"
    try:
        study = store.study(name)
    except StudyNotFoundError:
        known = ", ".join(record.name for record in store.studies()[:10]) or "none"
        raise StudyFileError(
            f"{where}: no study of this database has that name (there are: {known}); a table is "
            "named with its ending, .csv"
        ) from None
    model = parse_study(study.content, f"study {name!r}").model
    if model != spec.model:
        changed = [
            f"model.{key}: {value!r} there, {getattr(spec.model, key)!r} here"
            for key, value in model
            if value != getattr(spec.model, key)
        ]
        raise StudyFileError(f"{where}: is of another network ({'; '.join(changed)})")
    best = front(store.trials(name), study.objectives)
    if not best:
        raise StudyFileError(f"{where}: has no finished student")
    return [
        _first(trial.settings, trial.hyperparameters, f"study {name!r}: trial {trial.number}")
        for trial in middles_first(_spread(best))
    ]


def _spread(best: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return at most ``MOST`` of a front at even distances, its ends among them."""
    if len(best) <= MOST:
        return list(best)
    return [best[round(i * (len(best) - 1) / (MOST - 1))] for i in range(MOST)]


def _of_file(path: Path) -> list[FirstTrial]:
    """Return the rows of a table: of `front --format csv`, or Optuna's ``trials_dataframe``."""
    where = f"search.warm_start: {path}"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise StudyFileError(f"{where}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudyFileError(f"{where}: cannot be read: {error}") from None
    found = []
    for line, row in enumerate(rows, start=2):
        if row.get("state", TrialState.COMPLETE) != TrialState.COMPLETE:
            continue
        try:
            settings, hyperparameters = _read(row)
            found.append(_first(settings, hyperparameters, f"{path}: line {line}"))
        except (TypeError, ValueError, OverflowError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise StudyFileError(f"{where}: line {line}: {reason}") from None
    if not found:
        raise StudyFileError(f"{where}: has no finished trial")
    return found


def _read(row: Mapping[str, str | None]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return settings by layer and hyperparameters of a row.

    Raises:
        ValueError: the row has neither; the text says which columns are looked for.
    """
    if row.get("settings"):
        settings = json.loads(row["settings"] or "")
        hyperparameters = json.loads(row.get("hyperparameters") or "{}")
        if isinstance(settings, dict) and isinstance(hyperparameters, dict):
            return settings, hyperparameters
    numbers: dict[str, dict[str, int]] = {}
    others: dict[str, Any] = {}
    for column, text in _filled(row):
        matched = _OPTUNA_COLUMN.fullmatch(column)
        if matched is not None and matched["number"] in FIVE_NAMES:
            numbers.setdefault(matched["layer"], {})[matched["number"]] = int(float(text))
        elif column.startswith("params_"):
            others[column.removeprefix("params_")] = _value(text)
    if not numbers:
        raise ValueError(
            "has no settings: expected a column settings, as `front --format csv` writes it, or "
            "columns such as params_<layer>/B_in, as Optuna's trials_dataframe() has them"
        )
    return {
        layer: [given.get(name, 0) for name in FIVE_NAMES] for layer, given in numbers.items()
    }, others


def _filled(row: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Return the columns of a row that hold something; a row too long has a column None."""
    for column, text in row.items():
        if column and isinstance(text, str) and text:
            yield column, text


def _value(text: str) -> float | int | str:
    """Return a hyperparameter's value: a number where the text is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _first(
    settings: Mapping[str, Sequence[int]], hyperparameters: Mapping[str, Any], source: str
) -> FirstTrial:
    return FirstTrial.model_validate(
        {
            "setting": _OTHERS,
            "layers": {name: tuple(five) for name, five in settings.items()},
            "hyperparameters": dict(hyperparameters),
            "source": source,
        }
    )

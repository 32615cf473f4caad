"""The picture of a study in a view, and what it shows in words."""

import numpy as np

from dashboard.charts.axes.accuracy_scale import AccuracyScale
from dashboard.charts.axes.size_axis import HyperparameterAxis, SizeAxis
from dashboard.charts.colouring import Colouring
from dashboard.charts.front_chart import FrontPicture
from dashboard.charts.lines.limit_line import LimitLine, limit_line
from dashboard.pages.study.data import StudyData, trials_counted
from dashboard.pages.study.filtered import columns_at
from dashboard.pages.study.view import HYPERPARAMETER, StudyView
from dashboard.parts.values.states import STATE_WORDS
from mlgsearch.errors import UserError
from mlgsearch.records import OBJECTIVES, TrialState
from mlgsearch.results.analysis.trial_columns import Rows, TrialColumns
from mlgsearch.results.read.study_choice import StudyChoice


def picture_of(data: StudyData, view: StudyView) -> FrontPicture:
    """Return what the chart of the front draws in a view."""
    columns, left = data.columns, data.filtered(view)
    drawn = ~columns.is_in(TrialState.WAITING)  # for one that waits there need be no room
    axis, scale, record = _axis(data, view), accuracy_scale(data, view), data.record
    tested = record.teacher_test_accuracy
    return FrontPicture(
        columns=columns,
        axis=axis,
        shown=left.rows,
        front=left.front,
        steps=_bounding(columns, axis, left.seen),
        ranged=left.ranged[drawn[left.ranged]],
        selected=view.selected,
        teacher_accuracy=record.teacher_accuracy,
        planned=record.planned if view.is_plan_drawn else (),
        references=record.references,
        verified=data.verified,
        expectations=data.results.expectations,
        limit=_limit_line(data, view, axis),
        chosen=_chosen(data, view),
        scale=scale,
        # The test part's accuracies are below the teacher's of the test part, where it is known.
        verified_scale=AccuracyScale(100 * tested, scale.least)
        if scale.is_log and tested is not None
        else scale,
        colouring=colouring_of(data, view),
    )


def colours_offered(data: StudyData) -> dict[str, str]:
    """Return what trials can be coloured by: value of the address to words."""
    objectives = {
        name: objective.label
        for name, objective in OBJECTIVES.items()
        if name not in ("accuracy", "memory_ratio") and _differs(data.columns.objective(name))
    }
    return _offered(data.hyperparameters.varied) | objectives


def axes_offered(data: StudyData) -> dict[str, str]:
    """Return the hyperparameters that can be to the right: value of the address to words."""
    return _offered(data.hyperparameters.numeric)


def tell_objectives(objectives: tuple[str, ...]) -> str:
    """Describe a front of more objectives than a chart's two axes; empty for two."""
    if len(objectives) == 2:
        return ""
    labels = [OBJECTIVES[name].label for name in objectives]
    return (
        f" The front is of {len(objectives)} objectives: {', '.join(labels[:-1])} and "
        f"{labels[-1]}; by the two that are drawn a trial on it may look dominated."
    )


def tell_front(picture: FrontPicture) -> str:
    """Describe in a sentence or two what the chart of the front shows."""
    columns, axis = picture.columns, picture.axis
    counts = columns.at(picture.shown).counts()
    counted = ", ".join(
        f"{counts[state]:,} {word}" for state, word in STATE_WORDS.items() if counts[state]
    )
    sentence = f"Shown: {counted}." if counted else "No trial is shown."
    sizes = axis.values(columns)
    front = picture.front[np.isin(picture.front, picture.shown)]
    front = front[np.isfinite(sizes[front])]
    if not len(front):
        return f"{sentence} None of them is on the front." if counted else sentence
    order = front[np.argsort(columns.accuracy[front], kind="stable")]
    least, most = (_student(columns, axis, row) for row in order[[0, -1]])
    if len(front) == 1:
        return f"{sentence} One trial is on the front, {least}."
    if isinstance(axis, HyperparameterAxis):
        return f"{sentence} On the front are {trials_counted(len(front))}."
    return f"{sentence} On the front are {trials_counted(len(front))}, from {least} to {most}."


def _student(columns: TrialColumns, axis: SizeAxis, row: int) -> str:
    size = axis.write(float(axis.values(columns)[row]))
    return f"{100 * columns.accuracy[row]:.2f} % at {size}"


def _offered(names: tuple[str, ...]) -> dict[str, str]:
    return {f"{HYPERPARAMETER}{name}": name for name in names}


def _differs(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known) and np.ptp(known) > 0)


def _axis(data: StudyData, view: StudyView) -> SizeAxis:
    name = view.hyperparameter
    if name not in data.hyperparameters.numeric:
        return view.axis
    return HyperparameterAxis.of(name, data.hyperparameters.numbers(name))


def accuracy_scale(data: StudyData, view: StudyView) -> AccuracyScale:
    """Return the scale on which a view draws accuracies."""
    teacher, images = data.record.teacher_accuracy, data.record.validation_samples
    if teacher is None or view.is_in_percent:
        return AccuracyScale()
    complete = data.columns.is_in(TrialState.COMPLETE)
    reached = 100 * data.columns.accuracy[complete]
    return AccuracyScale.below(100 * teacher, reached, 100 / images if images else 0.0)


def _bounding(columns: TrialColumns, axis: SizeAxis, seen: Rows) -> Rows:
    """Return the rows of the line that bounds what was reached; a hyperparameter bounds nothing."""
    if not axis.objective:
        return seen[:0]
    return seen[columns_at(columns, seen).front_rows(("accuracy", axis.objective))]


def _limit_line(data: StudyData, view: StudyView, axis: SizeAxis) -> LimitLine | None:
    # What is expected on the test part is no height in a chart of the validation part.
    limit = view.limit
    if limit is None or (not limit.is_on_size and data.results.expectations.is_of_test_part):
        return None
    return limit_line(limit, axis, data.record.teacher_accuracy)


def _chosen(data: StudyData, view: StudyView) -> int | None:
    """Return the row of the student that the limit picks; None where it picks none."""
    if view.limit is None:
        return None
    try:
        number = StudyChoice.of(data.results, view.limit).choice.trial
    except UserError:
        return None
    return int(data.columns.rows_of([number])[0])


def colouring_of(data: StudyData, view: StudyView) -> Colouring | None:
    """Return the groups whose colours trials have in a view; None for those of their states."""
    name = view.colour
    if name not in colours_offered(data):
        return None
    if not name.startswith(HYPERPARAMETER):
        return Colouring.of_numbers(OBJECTIVES[name].label, data.columns.objective(name))
    name, known = name.removeprefix(HYPERPARAMETER), data.hyperparameters
    if name in known.numeric:
        return Colouring.of_numbers(name, known.numbers(name))
    return Colouring.of_words(name, known.values[name])

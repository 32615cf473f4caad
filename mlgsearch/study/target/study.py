"""The table of a study's network."""

from pathlib import Path

from mlgsearch.study.file.allowed_code import offer_code
from mlgsearch.study.file.latency import LatencyRow
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.space.layer_tables import choices
from mlgsearch.study.target.measure import measure
from mlgsearch.study.target.runners import runner_of
from mlgsearch.study.target.students import Students
from mlgsearch.train.data.load import load_images
from mlgsearch.train.progress import Progress
from mlgsearch.train.teacher.teacher import build_network


def measure_study(
    spec: StudySpec, target: str, cache: Path, progress: Progress
) -> list[LatencyRow]:
    """Load the data, for the size of images alone, and time the network's layers.

    Args:
        spec: of the study; its table of latency is not looked at.
        target: see `runner_of`.
        cache: where decoded images are.
        progress: called with what is timed.

    Raises:
        UserError: the data or the network cannot be used, or the target does not answer.
    """
    offer_code(spec)
    images = load_images(spec.data, cache)
    network = build_network(spec.model, images)
    students = Students(spec.model, network, images.classes, images.input_shape, spec.quantisation)
    ranges, fixed = choices(spec.space, students.shape)
    runner = runner_of(target, students)
    return measure(students.shape, ranges, fixed, runner, progress).rows

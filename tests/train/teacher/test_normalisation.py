"""What images are normalised with, from the study file to the packed file."""

from pathlib import Path

import pytest
import torch

from mlgsearch.errors import DataError
from mlgsearch.train.data.images import Images
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.progress import no_progress
from mlgsearch.train.spec import NormalisationSpec, TeacherSpec, TrainSpec
from mlgsearch.train.teacher.prepared import Prepared, normalised, prepare
from mlgsearch.train.teacher.teacher import teacher_hash

GREY = NormalisationSpec(mean=(0.25,), std=(0.5,))


def with_normalisation(spec: TrainSpec, asked: object) -> TrainSpec:
    teacher = TeacherSpec.model_validate(spec.teacher.model_dump() | {"normalisation": asked})
    return spec.model_copy(update={"teacher": teacher})


def test_images_keep_their_own_unless_asked(tiny_spec: TrainSpec, images: Images) -> None:
    assert normalised(images, tiny_spec.teacher) is images


def test_what_is_asked_reaches_the_network(
    tiny_spec: TrainSpec, images: Images, tmp_path: Path
) -> None:
    spec = with_normalisation(tiny_spec, {"mean": [0.25], "std": [0.5]})
    assert spec.teacher.normalisation == GREY
    prepared = prepare(spec, tmp_path, epochs=0, device=torch.device("cpu"), progress=no_progress)
    again = Prepared.open(spec, tmp_path, torch.device("cpu"))
    for found in (prepared.images, again.images):
        assert (found.mean.tolist(), found.std.tolist()) == ([0.25], [0.5])
        assert found.data_hash == images.data_hash
    seen: list[torch.Tensor] = []

    class Looking(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return torch.zeros(len(x), 10)

    HeldOutPart(prepared.images, images.validation, torch.device("cpu")).evaluate(Looking())
    pixels = images.pixels[images.validation][:1].float()
    torch.testing.assert_close(seen[0][:1], (pixels / 255 - 0.25) / 0.5)


def test_a_teacher_is_of_its_normalisation(tiny_spec: TrainSpec, images: Images) -> None:
    hashes = {
        teacher_hash(with_normalisation(tiny_spec, asked), images)
        for asked in ("data", "imagenet", GREY.model_dump())
    }
    assert len(hashes) == 3
    assert teacher_hash(tiny_spec, images) in hashes


def test_another_number_of_channels_is_refused(tiny_spec: TrainSpec, images: Images) -> None:
    with pytest.raises(DataError, match="the images have 1 channels, imagenet has 3"):
        normalised(images, with_normalisation(tiny_spec, "imagenet").teacher)
    two = {"mean": [0.1, 0.2], "std": [1.0, 1.0]}
    with pytest.raises(DataError, match="the images have 1 channels, write one for each"):
        normalised(images, with_normalisation(tiny_spec, two).teacher)

from pathlib import Path

import pytest
import torch

from mlgsearch.train.data.images import Images
from mlgsearch.train.data.load import load_images
from mlgsearch.train.spec import DataSpec, ModelSpec, OptimiserSpec, TeacherSpec, TrainSpec
from mlgsearch.train.teacher.prepared import Prepared, prepare

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_spec() -> TrainSpec:
    """300 digits, a network of width 4, a teacher of five epochs: quick, and real."""
    return TrainSpec(
        data=DataSpec(limit=300),
        model=ModelSpec(width=4),
        teacher=TeacherSpec(
            training=OptimiserSpec(optimiser="adamw", epochs=5, learning_rate=2e-2, batch_size=32)
        ),
        training=OptimiserSpec(optimiser="adamw", epochs=4, learning_rate=1e-2),
    )


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def images(tiny_spec: TrainSpec, cache: Path) -> Images:
    return load_images(tiny_spec.data, cache)


@pytest.fixture(scope="session")
def prepared(tiny_spec: TrainSpec, cache: Path) -> Prepared:
    torch.set_num_threads(1)
    return prepare(tiny_spec, cache, epochs=4, device=CPU)

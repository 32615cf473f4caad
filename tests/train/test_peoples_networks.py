"""Each kind of network that people bring goes the whole way: taught, compressed, packed, loaded."""

from pathlib import Path

import pytest
import torch

from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.train.files.packed_file import load_packed, to_bytes
from mlgsearch.train.spec import DataSpec, ModelSpec, OptimiserSpec, TeacherSpec, TrainSpec
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.student.trial import TrialJob
from mlgsearch.train.teacher.prepared import prepare
from tests.train import peoples_networks
from tests.train.data.pictures import draw

QUICK = OptimiserSpec(epochs=1, batch_size=8)

#: The layers that are found, as the paper's five numbers are given to each.
LAYERS = {
    "half": ["0", "2", "6"],
    "double": ["0", "2", "6"],
    "compiled": ["0", "2", "6"],
    "frozen": ["0", "2", "6"],
    "weight_norm": ["0", "2", "6"],
    "spectral_norm": ["0", "2", "6"],
    "tied": ["0", "2", "7"],
    "called_twice": ["0", "2", "7"],
    "group_norm": ["0", "3", "6"],
    "transposed": ["0", "2", "5"],
    "conv1d": ["body", "head"],
    "lstm": ["body.weight_ih_l0", "body.weight_hh_l0", "head"],
    "transformer": [
        "body.layers.0.self_attn.in_proj_weight",
        "body.layers.0.self_attn.out_proj",
        "body.layers.0.linear1",
        "body.layers.0.linear2",
        "head",
    ],
    "no_layer": [],
}


@pytest.mark.parametrize("name", LAYERS)
def test_it_is_taught_compressed_packed_and_loaded(name: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    spec = TrainSpec(
        data=DataSpec(name="folder", root=str(draw(tmp_path / "images", "abc"))),
        model=ModelSpec(name=f"{peoples_networks.__name__}:{name}"),
        teacher=TeacherSpec(training=QUICK),
        training=QUICK,
    )
    prepared = prepare(spec, tmp_path / "cache", epochs=1, device=torch.device("cpu"))
    shape = prepared.network_shape()
    assert list(shape.layers) == LAYERS[name]
    settings = uniform_settings(shape, (2, 6, 3, 6, 3))
    training = StudentTraining(prepared, TrialJob(settings, spec), tmp_path / "trial")
    training.run_epoch()
    assert training.is_done
    packed = tmp_path / "student.safetensors"
    packed.write_bytes(to_bytes(training.network, training.card()))
    assert training.summary().packed_bytes == packed.stat().st_size
    images = prepared.training.inputs(torch.arange(4))
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = training.network.eval()(images)
        logits = load_packed(packed, build=getattr(peoples_networks, name))(images)
    assert expected.isfinite().all()
    assert torch.equal(logits, expected)

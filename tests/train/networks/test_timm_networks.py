"""Networks of timm by name, with stand-ins for timm and for the hub's client.

timm itself is an extra that the tests do not install. What the stand-ins answer is what timm 1.0
and huggingface_hub answer to the few calls that are made.
"""

import os
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from mlgsearch.errors import DataError, UserError
from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.network import network_shape
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.study.file.allowed_code import named_code
from mlgsearch.study.file.study_file import load_study_file
from mlgsearch.train.data.images import Images
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import load_packed, write_packed
from mlgsearch.train.networks.models import build_model, build_without_memory
from mlgsearch.train.networks.timm_networks import timm_weights
from mlgsearch.train.progress import no_progress
from mlgsearch.train.spec import ModelSpec, OptimiserSpec, TeacherSpec, TrainSpec
from mlgsearch.train.teacher.teacher import load_or_train_teacher, teacher_hash
from tests.study.samples import a_spec

TIMM = """\
from types import SimpleNamespace

from torch import nn

__version__ = "1.0.31"
REPOSITORY, URL = "timm/tiny.in1k", None


def create_model(name, pretrained, num_classes, in_chans, img_size=None):
    assert not pretrained
    if name not in ("tiny", "tiny.in1k", "fixed"):
        raise RuntimeError(f"Unknown model ({name})")
    pool = nn.AdaptiveAvgPool2d(1) if img_size is None else nn.AvgPool2d(img_size[0])
    return nn.Sequential(
        nn.Conv2d(in_chans, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        pool, nn.Flatten(), nn.Linear(8, num_classes),
    )


def list_models():
    return ["tiny", "fixed"]


def list_pretrained():
    return ["tiny.in1k"]


def get_pretrained_cfg(name):
    if name == "fixed":
        return SimpleNamespace(fixed_input_size=True, hf_hub_id=None, url=None)
    return SimpleNamespace(fixed_input_size=False, hf_hub_id=REPOSITORY, url=URL)


models = SimpleNamespace(get_pretrained_cfg=get_pretrained_cfg)
"""
HUB = """\
import os

FETCHED = []


def try_to_load_from_cache(repository, file):
    path = os.path.join(os.environ["STAND_IN_HUB"], repository.replace("/", "--"), file)
    return path if os.path.exists(path) else None


def hf_hub_download(repository, file):
    FETCHED.append((repository, file))
    path = os.path.join(os.environ["STAND_IN_NET"], file)
    if not os.path.exists(path):
        raise ConnectionError("no\\n network")
    return path
"""


@pytest.fixture
def timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with stand-ins, and with the caches that they look in."""
    for name, source in (("timm", TIMM), ("huggingface_hub", HUB)):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("STAND_IN_HUB", str(tmp_path / "hub"))
    monkeypatch.setenv("STAND_IN_NET", str(tmp_path / "net"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def build(name: str, size: int = 8, classes: int = 10, channels: int = 1) -> torch.nn.Module:
    spec = ModelSpec(name=name)
    return build_model(spec, classes=classes, channels=channels, image_size=(size, size))


def in_cache(folder: Path, classes: int = 1000) -> Path:
    network = build("timm:tiny.in1k", classes=classes)
    path = folder / "hub" / "timm--tiny.in1k" / "model.safetensors"
    path.parent.mkdir(parents=True)
    save_file(network.state_dict(), path)
    return path


@pytest.mark.usefixtures("timm")
def test_a_network_is_built_by_timms_name() -> None:
    network = build("timm:tiny.in1k", channels=3)
    assert network.get_submodule("0").weight.shape == (8, 3, 3, 3)
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 10)
    assert list(compressible_layers(network)) == ["0", "3", "8"]
    fixed = build("timm:fixed", size=12)
    assert fixed.get_submodule("6").kernel_size == 12
    meta = build_without_memory(
        ModelSpec(name="timm:tiny"), classes=3, channels=1, image_size=(8, 8)
    )
    assert next(meta.parameters()).is_meta
    bare = build_model(
        ModelSpec(name="timm:tiny", head_bias=False), classes=3, channels=1, image_size=(8, 8)
    )
    assert bare.get_submodule("8").bias is None


@pytest.mark.usefixtures("timm")
def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(UserError, match=r"Unknown model \(tinny\), did you mean timm:tiny\?"):
        build("timm:tinny")


@pytest.mark.parametrize("name", ["timm:", "timm:hf-hub:a/b", "timm:a/b", "timm:../x", "timm:a b"])
def test_a_name_is_no_address(name: str) -> None:
    with pytest.raises(ValidationError, match="is no network of timm's, such as timm:resnet18"):
        ModelSpec(name=name)


def test_without_timm_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        UserError, match=r"timm:resnet18 needs timm: pip install 'mlgsearch\[timm\]'"
    ):
        build("timm:resnet18")


@pytest.mark.usefixtures("timm")
def test_timm_is_no_code_of_ones_own(tmp_path: Path) -> None:
    assert named_code(a_spec(model={"name": "timm:tiny"})) == {}
    network = build("timm:tiny")
    settings = uniform_settings(network_shape(network, (1, 8, 8)), (1, 4, 3, 6, 3))
    card = PackedCard(
        model=ModelSpec(name="timm:tiny"),
        classes=10,
        channels=1,
        image_size=(8, 8),
        method="lsq_symmetric",
        settings=tuple(settings.values()),
        mean=(0.5,),
        std=(0.5,),
    )
    compress(network, settings, method=card.method)
    network.eval()
    write_packed(tmp_path / "a.safetensors", network, card)
    images = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(load_packed(tmp_path / "a.safetensors")(images), network(images))


def test_weights_come_from_the_cache_alone_unless_download_says_so(timm: Path) -> None:
    name = "timm:tiny.in1k"
    with pytest.raises(DataError, match=r"in no cache of timm's; write teacher\.download: true"):
        timm_weights(name, downloads=False)
    import huggingface_hub as hub

    assert hub.FETCHED == []
    with pytest.raises(
        DataError, match=r"weights of timm:tiny\.in1k cannot be fetched: no network"
    ):
        timm_weights(name, downloads=True)
    (timm / "net").mkdir()
    (timm / "net" / "model.safetensors").touch()
    assert timm_weights(name, downloads=True) == timm / "net" / "model.safetensors"
    assert len(hub.FETCHED) == 2
    cached = in_cache(timm)
    assert timm_weights(name, downloads=False) == timm_weights(name, downloads=True) == cached
    assert len(hub.FETCHED) == 2  # what is in the cache is not asked for
    with pytest.raises(DataError, match="timm:fixed has no published weights"):
        timm_weights("timm:fixed", downloads=True)


def test_weights_may_be_in_torchs_cache(timm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = TIMM.replace(
        "None\n\n\ndef create", "'https://x.org/w/tiny-1a2b.pth?x=1'\n\n\ndef create"
    )
    (timm / "timm.py").write_text(source)
    cached = timm / "torch" / "hub" / "checkpoints" / "tiny-1a2b.pth"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert timm_weights("timm:tiny.in1k", downloads=False) == cached
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    cached.unlink()
    with pytest.raises(DataError, match="huggingface_hub is not installed; name a file"):
        timm_weights("timm:tiny.in1k", downloads=True)


def test_a_teacher_is_fine_tuned_from_timms_weights(
    timm: Path, tiny_spec: TrainSpec, images: Images
) -> None:
    cached = in_cache(timm)
    training = OptimiserSpec(epochs=1)
    teacher = TeacherSpec(checkpoint="timm", head="new", head_epochs=1, training=training)
    content = {**tiny_spec.model_dump(), "model": ModelSpec(name="timm:tiny.in1k").model_dump()}
    spec = TrainSpec.model_validate({**content, "teacher": teacher.model_dump()})
    made = load_or_train_teacher(spec, images, timm / "cache", torch.device("cpu"), no_progress)
    state = made.network.state_dict()
    stored = build("timm:tiny.in1k", classes=1000)
    stored.load_state_dict(load_file(cached))
    assert torch.equal(state["0.weight"], stored.state_dict()["0.weight"])
    before = teacher_hash(spec, images)
    os.utime(cached)
    assert teacher_hash(spec, images) == before
    (timm / "timm.py").write_text(TIMM.replace("1.0.31", "1.0.32"))
    del sys.modules["timm"]
    assert teacher_hash(spec, images) != before
    with pytest.raises(ValidationError, match=r"timm needs a network of timm's in model\.name"):
        TrainSpec.model_validate({**content, "model": {}, "teacher": teacher.model_dump()})
    with pytest.raises(ValidationError, match=r"download needs teacher\.checkpoint: timm"):
        TeacherSpec(checkpoint="a.pt", download=True)


def test_a_study_file_keeps_the_word_timm(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "name: a\nmodel: {name: 'timm:tiny'}\nteacher: {checkpoint: timm, head: new}\n"
    )
    assert load_study_file(tmp_path / "a.yaml")[0].teacher.checkpoint == "timm"

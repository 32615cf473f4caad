import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from mlgsearch.errors import DataError
from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.batches import TrainingBatches
from mlgsearch.train.data.images import Images
from mlgsearch.train.data.load import load_images
from mlgsearch.train.loop.epoch import train_epoch
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.networks.chain import ChainNet
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.progress import no_progress
from mlgsearch.train.spec import DataSpec, ModelSpec, OptimiserSpec, TeacherSpec, TrainSpec
from mlgsearch.train.teacher import teacher as teacher_module
from mlgsearch.train.teacher.teacher import (
    Teacher,
    build_network,
    load_or_train_teacher,
    open_teacher,
    teacher_hash,
)
from mlgsearch.train.teacher.teacher_checkpoint import load_checkpoint
from mlgsearch.train.tensor_file import read_tensors, write_tensors

CPU = torch.device("cpu")
State = dict[str, Tensor]


def get(spec: TrainSpec, images: Images, cache: Path) -> Teacher:
    return load_or_train_teacher(spec, images, cache, CPU, no_progress)


def weights_equal(a: Teacher, b: Teacher) -> bool:
    first, second = a.network.state_dict(), b.network.state_dict()
    return all(torch.equal(second[name], tensor) for name, tensor in first.items())


def with_checkpoint(spec: TrainSpec, path: Path) -> TrainSpec:
    return spec.model_copy(
        update={"teacher": spec.teacher.model_copy(update={"checkpoint": str(path)})}
    )


def test_is_trained_once_and_then_opened(
    tiny_spec: TrainSpec, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_teacher(tiny_spec, images, tmp_path) is None
    notes: list[tuple[str, int, int, str]] = []
    trained = load_or_train_teacher(
        tiny_spec, images, tmp_path, CPU, lambda *note: notes.append(note)
    )
    assert [note[:3] for note in notes] == [("teacher", i, 5) for i in range(6)]
    assert not trained.network.training
    assert not any(p.requires_grad for p in trained.network.parameters())
    _, accuracy = HeldOutPart(images, images.validation, CPU).evaluate(trained.network)
    assert trained.accuracy == accuracy
    _, metadata = read_tensors(tmp_path / "teachers" / f"{trained.recipe}.safetensors")
    assert metadata["accuracy"] == accuracy
    assert metadata["class_names"] == list("0123456789")
    monkeypatch.setattr(teacher_module, "train_epoch", None)
    again = get(tiny_spec, images, tmp_path)
    assert weights_equal(trained, again)
    assert (again.hash, again.accuracy) == (trained.hash, trained.accuracy)
    opened = open_teacher(tiny_spec, images, tmp_path)
    assert opened is not None
    assert weights_equal(trained, opened)


def test_other_weights_of_the_same_recipe_are_another_teacher(
    tiny_spec: TrainSpec, images: Images, tmp_path: Path
) -> None:
    found = {}
    for threads in (1, 2):  # torch adds up in another order then
        torch.set_num_threads(threads)
        found[threads] = get(tiny_spec, images, tmp_path / str(threads))
    one, two = found[1], found[2]
    assert one.recipe == two.recipe == teacher_hash(tiny_spec, images)
    assert (one.hash == two.hash) == weights_equal(one, two)
    path = tmp_path / "1" / "teachers" / f"{one.recipe}.safetensors"
    tensors, metadata = read_tensors(path)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    tensors["fc.bias"][0] += 1e-6
    write_tensors(path, tensors, metadata)
    other = open_teacher(tiny_spec, images, tmp_path / "1")
    assert other is not None
    assert (other.recipe, other.hash == one.hash) == (one.recipe, False)


def test_an_interrupted_training_goes_on(
    tiny_spec: TrainSpec, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = get(tiny_spec, images, tmp_path / "straight")
    epochs: list[int] = []

    def interrupted(*args: object, epoch: int, **kwargs: object) -> object:
        if epoch == 2 and 2 not in epochs:
            epochs.append(2)
            raise KeyboardInterrupt
        epochs.append(epoch)
        return train_epoch(*args, epoch=epoch, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(teacher_module, "train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get(tiny_spec, images, tmp_path / "cut")
    resumed = get(tiny_spec, images, tmp_path / "cut")
    assert epochs == [1, 2, 2, 3, 4, 5]
    assert weights_equal(straight, resumed)
    assert resumed.accuracy == straight.accuracy
    assert [p.name for p in (tmp_path / "cut" / "teachers").iterdir()] == [
        f"{resumed.recipe}.safetensors"
    ]


def test_a_network_is_fitted_to_its_images_before_it_is_trained(
    tmp_path: Path,
) -> None:
    training = OptimiserSpec(optimiser="sgd", epochs=2, batch_size=32)
    data = DataSpec(limit=200, image_size=12)
    images = load_images(data, tmp_path)
    spec = TrainSpec(
        data=data, model=ModelSpec(name="chain8", width=2), teacher=TeacherSpec(training=training)
    )
    trained = get(spec, images, tmp_path).network
    normalised = TrainingBatches(images, Augmentation.of(spec.data), CPU)
    normalised.start_epoch(0, 1)
    expected = build_network(spec.model, images)
    assert isinstance(expected, ChainNet)
    expected.fit_input(normalised.inputs(torch.arange(normalised.count)))
    assert isinstance(trained, ChainNet)
    assert torch.equal(trained.conv1.weight, expected.conv1.weight)


def test_a_damaged_cache_is_trained_anew(
    tiny_spec: TrainSpec, images: Images, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = get(tiny_spec, images, tmp_path)
    path = tmp_path / "teachers" / f"{first.recipe}.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert weights_equal(get(tiny_spec, images, tmp_path), first)
    assert "cached teacher cannot be used" in caplog.text


def test_the_hash_covers_what_matters_and_no_more(tiny_spec: TrainSpec, images: Images) -> None:
    def changed(part: str, **values: object) -> TrainSpec:
        return tiny_spec.model_copy(
            update={part: getattr(tiny_spec, part).model_copy(update=values)}
        )

    base = teacher_hash(tiny_spec, images)
    for other in (
        changed("model", width=5),
        changed("data", augmentation="crop"),
        changed("teacher", seed=1),
        changed("teacher", training=OptimiserSpec(epochs=3)),
    ):
        assert teacher_hash(other, images) != base
    for same in (
        changed("distillation", weight=0.1),
        changed("training", epochs=1),
        changed("quantisation", method="lsq"),
        changed("data", root="elsewhere"),
    ):
        assert teacher_hash(same, images) == base


def _under(prefix: str) -> Callable[[State], State]:
    return lambda state: {f"{prefix}{name}": tensor for name, tensor in state.items()}


#: How else training scripts write a state.
CUSTOMS: dict[str, Callable[[State], object]] = {
    "compiled": _under("_orig_mod."),
    "compiled and parallel": _under("module._orig_mod."),
    "backbone": _under("backbone."),
    "network": _under("network.model."),
    "averaged alone": lambda state: {
        "model_ema": {"n_averaged": torch.tensor(3), **_under("module.")(state)}
    },
    "without counters": lambda state: {
        name: tensor for name, tensor in state.items() if "num_batches" not in name
    },
    "sparse": lambda state: {
        name: tensor.to_sparse() if name == "fc.weight" else tensor
        for name, tensor in state.items()
    },
}


def test_an_entry_is_taken_by_name(tiny_spec: TrainSpec, images: Images, tmp_path: Path) -> None:
    path = tmp_path / "t.pth"
    states = [build_network(tiny_spec.model, images, seed=seed).state_dict() for seed in (5, 6)]
    torch.save({"model": states[0], "model_ema": _under("module.")(states[1])}, path)
    network = build_network(tiny_spec.model, images)
    assert load_checkpoint(network, path) == " (its entry 'model')"
    assert torch.equal(network.state_dict()["conv1.weight"], states[0]["conv1.weight"])
    said = load_checkpoint(network, path, "model_ema")
    assert said == " (its entry 'model_ema', names without 'module.')"
    assert torch.equal(network.state_dict()["conv1.weight"], states[1]["conv1.weight"])
    with pytest.raises(DataError, match=r"no state_dict called 'ema'; it has 'model', 'model_ema'"):
        load_checkpoint(network, path, "ema")


def test_published_densenets_and_auxiliary_heads_are_read(tmp_path: Path) -> None:
    for name in ("densenet121", "googlenet"):
        spec = ModelSpec(name=name, stem="imagenet")
        options: dict[str, Any] = {"classes": 3, "channels": 3, "image_size": (32, 32)}
        network = build_model(spec, **options, seed=1)
        state = {
            re.sub(r"(denselayer\d+\.(?:norm|relu|conv))(\d)\.", r"\1.\2.", key): tensor
            for key, tensor in network.state_dict().items()
            if "num_batches" not in key
        }
        assert (state.keys() <= network.state_dict().keys()) == (name == "googlenet")
        state |= {"aux1.fc1.weight": torch.zeros(3)} if name == "googlenet" else {}
        torch.save(state, tmp_path / "t.pth")
        other = build_model(spec, **options, seed=2)
        load_checkpoint(other, tmp_path / "t.pth")
        for key, tensor in other.state_dict().items():
            assert torch.equal(tensor, network.state_dict()[key]), key


def test_a_head_of_other_classes_is_made_anew_and_trained(
    tiny_spec: TrainSpec, images: Images, tmp_path: Path
) -> None:
    state = build_network(tiny_spec.model, images, seed=5).state_dict()
    state["fc.weight"], state["fc.bias"] = torch.zeros(1000, 16), torch.zeros(1000)
    path = tmp_path / "t.pth"
    torch.save(state, path)
    stored = with_checkpoint(tiny_spec, path)
    with pytest.raises(DataError, match=r"instead of .*write teacher\.head: new to take all but"):
        get(stored, images, tmp_path)
    training = tiny_spec.teacher.training.model_copy(update={"epochs": 1, "learning_rate": 1e-9})
    teacher = stored.teacher.model_copy(update={"head": "new", "training": training})
    fresh = stored.model_copy(update={"teacher": teacher})
    assert teacher_hash(fresh, images) != teacher_hash(stored, images)
    found = get(fresh, images, tmp_path / "cache").network.state_dict()
    torch.testing.assert_close(found["conv1.weight"], state["conv1.weight"], rtol=1e-4, atol=1e-5)
    assert found["fc.weight"].shape[0] == images.classes
    assert found["fc.weight"].any()


@pytest.fixture
def fine_tuned(tiny_spec: TrainSpec, images: Images, tmp_path: Path) -> TrainSpec:
    """A study whose teacher begins with a file of seven classes, its head alone for 2 epochs of 4.

    The network has dropout and batch-norm before the head.
    """
    spec = tiny_spec.model_copy(update={"model": ModelSpec(name=f"{__name__}:with_dropout")})
    network = with_dropout(classes=7, channels=1, image_size=(8, 8))
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if "running" in name:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    torch.save(network.state_dict(), tmp_path / "seven.pt")
    training = OptimiserSpec(epochs=4, batch_size=64)
    teacher = TeacherSpec(
        checkpoint=str(tmp_path / "seven.pt"), head="new", head_epochs=2, training=training
    )
    return spec.model_copy(update={"teacher": teacher})


def with_dropout(*, classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels, 6, 3, bias=False),
            norm=nn.BatchNorm2d(6),
            act=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d(2),
            flat=nn.Flatten(),
            drop=nn.Dropout(0.3),
            head=nn.Linear(24, classes),
        )
    )


def body(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if not name.startswith("head.")}


def test_the_head_alone_leaves_the_rest_as_it_is_in_the_file(
    fine_tuned: TrainSpec, images: Images, tmp_path: Path
) -> None:
    stored = torch.load(tmp_path / "seven.pt", weights_only=True)
    teacher = fine_tuned.teacher.model_copy(update={"head_epochs": 4})
    alone = get(fine_tuned.model_copy(update={"teacher": teacher}), images, tmp_path / "a")
    found = alone.network.state_dict()
    assert [n for n, tensor in body(stored).items() if not torch.equal(found[n], tensor)] == []
    fresh = build_network(fine_tuned.model, images, fine_tuned.teacher.seed).state_dict()
    assert not torch.equal(found["head.weight"], fresh["head.weight"])
    both = get(fine_tuned, images, tmp_path / "b").network.state_dict()
    names = {n for n, tensor in body(stored).items() if not torch.equal(both[n], tensor)}
    assert names == body(stored).keys()
    assert all(p.dtype == torch.float32 for p in both.values() if p.is_floating_point())


def test_each_phase_has_its_own_steps_mode_and_schedule(
    fine_tuned: TrainSpec, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int, list[str], bool, float]] = []

    def watched(network: nn.Module, *args: object, epoch: int, **kwargs: object) -> object:
        totals = train_epoch(network, *args, epoch=epoch, **kwargs)  # type: ignore[arg-type]
        moved = [name for name, p in network.named_parameters() if p.requires_grad]
        before = kwargs["epochs_before"]
        assert isinstance(before, int)
        is_training = network.get_submodule("norm").training
        seen.append((epoch, before, moved, is_training, totals.learning_rate))
        return totals

    monkeypatch.setattr(teacher_module, "train_epoch", watched)
    get(fine_tuned, images, tmp_path / "cache")
    head = ["head.weight", "head.bias"]
    every = ["conv.weight", "norm.weight", "norm.bias", *head]
    assert [entry[:4] for entry in seen] == [
        (1, 0, head, False),
        (2, 0, head, False),
        (3, 2, every, True),
        (4, 2, every, True),
    ]
    assert seen[0][4] == seen[2][4] > seen[1][4] == seen[3][4]


@pytest.mark.parametrize("cut", [2, 3, 4])
def test_a_training_of_the_head_first_goes_on_wherever_it_was_cut(
    fine_tuned: TrainSpec,
    images: Images,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut: int,
) -> None:
    straight = get(fine_tuned, images, tmp_path / "straight")

    def interrupted(*args: object, epoch: int, **kwargs: object) -> object:
        if epoch == cut:
            raise KeyboardInterrupt
        return train_epoch(*args, epoch=epoch, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(teacher_module, "train_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            get(fine_tuned, images, tmp_path / "cut")
    resumed = get(fine_tuned, images, tmp_path / "cut")
    assert weights_equal(straight, resumed)
    assert resumed.hash == straight.hash


def test_a_network_from_a_file_is_not_fitted_to_images(tmp_path: Path) -> None:
    data = DataSpec(limit=200, image_size=12)
    images = load_images(data, tmp_path)
    model = ModelSpec(name="chain8", width=2)
    state = build_network(model, images, seed=3).state_dict()
    torch.save(state, tmp_path / "t.pt")
    teacher = TeacherSpec(
        checkpoint=str(tmp_path / "t.pt"), head="new", training=OptimiserSpec(epochs=1)
    )
    found = get(TrainSpec(data=data, model=model, teacher=teacher), images, tmp_path).network
    assert torch.equal(found.state_dict()["conv1.weight"], state["conv1.weight"])


def test_epochs_of_the_head_are_checked() -> None:
    with pytest.raises(ValidationError, match=r"head_epochs needs teacher\.head: new"):
        TeacherSpec(head_epochs=1)
    with pytest.raises(ValidationError, match=r"21 are more than teacher\.training\.epochs: 20"):
        TeacherSpec(checkpoint="a.pt", head="new", head_epochs=21)
    assert TeacherSpec(checkpoint="a.pt", head="new").later() == {"head": "new"}
    later = TeacherSpec(checkpoint="a.pt", head="new", head_epochs=20).later()
    assert later == {"head": "new", "head_epochs": 20}


def test_head_and_entry_need_a_file() -> None:
    with pytest.raises(ValidationError, match=r"need teacher\.checkpoint"):
        TeacherSpec(head="new")


@pytest.mark.parametrize("form", ["safetensors", "pt", "nested", "parallel", "lightning", *CUSTOMS])
def test_a_checkpoint_is_loaded_in_its_usual_forms(
    form: str, tiny_spec: TrainSpec, images: Images, tmp_path: Path
) -> None:
    state = build_network(tiny_spec.model, images, seed=5).state_dict()
    path = tmp_path / ("t.safetensors" if form == "safetensors" else "t.pt")
    match form:
        case "safetensors":
            save_file(state, path)
        case "pt":
            torch.save(state, path)
        case "nested":
            torch.save({"model": state, "epoch": 3}, path)
        case "parallel":
            torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
        case "lightning":
            path = tmp_path / "t.ckpt"
            torch.save({"state_dict": {f"module.{n}": t for n, t in state.items()}}, path)
        case _:
            path = tmp_path / "t.bin"
            torch.save(CUSTOMS[form](state), path)
    teacher = get(with_checkpoint(tiny_spec, path), images, tmp_path / "cache")
    assert all(torch.equal(teacher.network.state_dict()[n], t) for n, t in state.items())
    assert open_teacher(with_checkpoint(tiny_spec, path), images, tmp_path / "cache") is not None


def test_a_checkpoint_of_another_network_names_the_first_differences(
    tiny_spec: TrainSpec, images: Images, tmp_path: Path
) -> None:
    state = build_network(tiny_spec.model, images).state_dict()
    del state["fc.bias"]
    state["extra"] = torch.zeros(1)
    state["conv1.weight"] = torch.zeros(9, 1, 3, 3)
    save_file(state, tmp_path / "t.safetensors")
    with pytest.raises(
        DataError,
        match=r"missing: fc\.bias; unexpected: extra; of another shape: conv1\.weight "
        r"\(9, 1, 3, 3\) instead of \(4, 1, 3, 3\)",
    ):
        get(with_checkpoint(tiny_spec, tmp_path / "t.safetensors"), images, tmp_path)


def test_a_checkpoint_that_would_run_code_is_refused(
    tiny_spec: TrainSpec, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    network = build_network(tiny_spec.model, images)
    torch.save(network, tmp_path / "t.pt")
    with pytest.raises(DataError, match=r"more than tensors; save `model\.state_dict\(\)` alone$"):
        get(with_checkpoint(tiny_spec, tmp_path / "t.pt"), images, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.pt", None, "cannot be read: No such file"),
        ("t.pt", b"garbage", "cannot be read as weights alone"),
        ("t.safetensors", b"garbage", "cannot be read as weights alone"),
        ("t.bin", b"garbage", "it is cut off, or no file of torch.save"),
        ("t.bin", b"PK\3\4garbage", "it is cut off, or no file of torch.save"),
        ("t.onnx", b"garbage", "must end in .safetensors, .pt, .pth, .ckpt or .bin"),
    ],
)
def test_a_checkpoint_that_cannot_be_read(
    name: str,
    content: bytes | None,
    message: str,
    tiny_spec: TrainSpec,
    images: Images,
    tmp_path: Path,
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        get(with_checkpoint(tiny_spec, tmp_path / name), images, tmp_path)


def test_a_checkpoint_without_weights(tiny_spec: TrainSpec, images: Images, tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "t.pt")
    with pytest.raises(DataError, match="holds no state_dict"):
        get(with_checkpoint(tiny_spec, tmp_path / "t.pt"), images, tmp_path)

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mlgsearch.errors import DataError
from mlgsearch.train.loop.epoch import train_epoch
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.spec import TrainSpec
from mlgsearch.train.teacher import teacher as teacher_module
from mlgsearch.train.teacher.logits import TeacherLogits
from mlgsearch.train.teacher.prepared import Prepared, prepare

CPU = torch.device("cpu")


def test_a_worker_opens_what_the_driver_made(
    prepared: Prepared, tiny_spec: TrainSpec, cache: Path
) -> None:
    opened = Prepared.open(tiny_spec, cache, CPU)
    assert opened.data_hash == prepared.data_hash
    assert opened.teacher_hash == prepared.teacher_hash
    assert opened.network_shape() == prepared.network_shape()
    assert "layer2.0.shortcut.0" in opened.network_shape().layers


def test_a_worker_does_not_train(tiny_spec: TrainSpec, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="teacher is not under"):
        Prepared.open(tiny_spec, tmp_path, CPU)


def test_a_second_call_finds_all_in_the_cache(tiny_spec: TrainSpec, cache: Path) -> None:
    notes: list[tuple[str, int, int, str]] = []
    prepare(tiny_spec, cache, epochs=4, device=CPU, progress=lambda *note: notes.append(note))
    assert {note[0] for note in notes} == {"data", "teacher", "logits"}
    assert any(note[3].startswith("cached") for note in notes)


def test_a_new_cache_is_its_users_alone(tiny_spec: TrainSpec, tmp_path: Path) -> None:
    data = tiny_spec.data.model_copy(update={"root": str(tmp_path / "none"), "name": "folder"})
    with pytest.raises(DataError):  # it is made before anything that may fail
        prepare(tiny_spec.model_copy(update={"data": data}), tmp_path / "new", epochs=1, device=CPU)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_without_augmentation_one_file_serves_all_epochs_and_seeds(prepared: Prepared) -> None:
    logits = prepared.logits(0)
    assert [p.name for p in logits.directory.iterdir()] == ["epoch-0000.safetensors"]
    assert prepared.logits(1).path(7) == logits.path(1)


def test_logits_are_the_teachers_answers_by_position(prepared: Prepared) -> None:
    logits = prepared.logits(0).epoch(1)[torch.arange(prepared.training.count)]
    images = prepared.images
    assert logits.shape == (len(images.train), images.classes)
    _, accuracy = HeldOutPart(images, images.train, CPU).evaluate(prepared.teacher.network)
    right = logits.argmax(1) == images.labels[images.train]
    assert right.double().mean().item() == pytest.approx(accuracy)


@pytest.fixture
def augmented(prepared: Prepared, tiny_spec: TrainSpec, tmp_path: Path) -> Prepared:
    data = tiny_spec.data.model_copy(update={"augmentation": "crop_flip", "crop_padding": 1})
    spec = tiny_spec.model_copy(update={"data": data})
    return Prepared(spec, tmp_path, CPU, prepared.images, prepared.teacher)


def test_with_augmentation_an_epoch_has_its_own(augmented: Prepared) -> None:
    logits = augmented.logits(0)
    logits.ensure([1, 2], lambda *note: None)
    assert sorted(p.name for p in logits.directory.iterdir()) == [
        "epoch-0001.safetensors",
        "epoch-0002.safetensors",
    ]
    assert not torch.equal(logits.epoch(1).stored, logits.epoch(2).stored)
    assert augmented.logits(1).directory != logits.directory
    augmented.training.start_epoch(0, 2)
    with torch.inference_mode():
        expected = augmented.teacher.network(augmented.training.inputs(torch.arange(5)))
    assert torch.equal(logits.epoch(2)[torch.arange(5)], expected.half().float())


def test_a_missing_or_damaged_epoch_is_computed_again(augmented: Prepared) -> None:
    logits = augmented.logits(0)
    first = logits.epoch(3).stored.clone()
    content = logits.path(3).read_bytes()
    logits.path(3).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert torch.equal(logits.epoch(3).stored, first)
    assert logits.path(3).read_bytes() == content
    logits.path(3).unlink()
    assert torch.equal(logits.epoch(3).stored, first)


def test_a_teacher_trained_again_does_not_take_the_logits_of_the_one_before(
    tiny_spec: TrainSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is gone and the logits are kept, and it comes out otherwise, as on more threads."""
    first = prepare(tiny_spec, tmp_path, epochs=4, device=CPU)
    path = tmp_path / "teachers" / f"{first.teacher.recipe}.safetensors"
    path.unlink()

    def rounded(network: nn.Module, *arguments: Any, **options: Any) -> Any:
        totals = train_epoch(network, *arguments, **options)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1 + 1e-2)
        return totals

    monkeypatch.setattr(teacher_module, "train_epoch", rounded)
    second = prepare(tiny_spec, tmp_path, epochs=4, device=CPU)
    worker = Prepared.open(tiny_spec, tmp_path, CPU)
    every = torch.arange(first.training.count)
    found = {name: p.logits(0).epoch(1)[every] for name, p in (("old", first), ("new", worker))}
    assert (second.teacher.recipe, second.teacher.hash) == (path.stem, worker.teacher.hash)
    assert second.teacher.hash != first.teacher.hash
    # Those of the first are there still, and differ from its own, which the worker learns.
    assert first.logits(0).path(1).exists()
    assert (found["new"] - found["old"]).abs().max() > 0.01
    with torch.inference_mode():
        own = worker.teacher.network(worker.training.inputs(every)).half().float()
    torch.testing.assert_close(found["new"], own, rtol=1e-2, atol=1e-2)


def test_epochs_at_hand_are_not_computed_again(
    augmented: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = augmented.logits(0)
    logits.ensure([1], lambda *note: None)
    monkeypatch.setattr(TeacherLogits, "_compute", None)
    logits.ensure([1], lambda *note: None)
    assert len(logits.epoch(1)) == augmented.training.count

"""The model card: metadata that Hugging Face reads, and the figures that the database holds."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlgsearch.records import ExportFormat, StudyRecord
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.results.model_card import CardFile, model_card, read_model_card
from tests.results.samples import a_complete, a_study, a_verification
from tests.study.driverless import empty_database

FILE = CardFile("student.safetensors", "packed", 3248)


def a_digits_study(**changes: Any) -> StudyRecord:
    content = {
        "data": {"name": "digits", "root": "/home/me/secret", "limit": None},
        "model": {"name": "resnet8"},
        "distillation": {"temperature": 4.0, "weight": 0.9},
    }
    return a_study(content=content, validation_samples=450, **changes)


def metadata(card: str) -> dict[str, Any]:
    """Return the block between the two lines of dashes, as Hugging Face's own reader finds it."""
    found = re.match(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))", card)
    assert found is not None
    read: dict[str, Any] = yaml.safe_load(found[2])
    return read


@pytest.fixture
def read(tmp_path: Path) -> Any:
    (tmp_path / "a.db").write_bytes(empty_database())
    engine = open_engine(f"sqlite:///{tmp_path}/a.db")
    store, verifications = ResultStore(engine), VerificationStore(engine)
    store.create_study(a_digits_study(teacher_test_accuracy=0.96))
    store.put_trial("digits", a_complete(0, 0.9, 0.05, packed_bytes=3248))
    store.put_trial("digits", a_complete(1, 0.8, 0.02, packed_bytes=2000))
    store.put_trial("digits", a_complete(2, 0.9, 0.05, packed_bytes=3248, reused_from=0))
    for seed in (1, 2):
        verifications.put("digits", a_verification(0, seed, 0.8 + seed / 100))
    yield lambda number, **options: read_model_card(engine, "digits", number, FILE, **options)
    engine.dispose()


@pytest.mark.parametrize("number", [0, 2])
def test_a_verified_student_has_its_seeds_and_their_spread(read: Any, number: int) -> None:
    card = read(number)
    (index,) = metadata(card)["model-index"]
    (result,) = index["results"]
    assert result["task"] == {"type": "image-classification"}
    assert result["dataset"] == {"name": "digits", "type": "digits", "split": "test"}
    (metric,) = result["metrics"]
    assert metric == {"type": "accuracy", "name": "test accuracy, mean of 2 seeds", "value": 0.815}
    assert "| test part, 270 images | 81.50 ± 0.71 % | mean ± standard deviation of 2 " in card
    assert "| teacher, test part | 96.00% |" in card
    assert "not verified" not in card


def test_one_that_is_not_verified_says_so(read: Any) -> None:
    card = read(1)
    (metric,) = metadata(card)["model-index"][0]["results"][0]["metrics"]
    assert metric["name"] == "validation accuracy"
    assert metric["value"] == 0.8
    assert "It was not verified" in card
    assert "| expected | " in card


def test_the_licence_of_the_data_is_stated_where_it_is_given(read: Any) -> None:
    assert "Licence of the data: CC BY 4.0." in read(0, data_license="CC BY 4.0")
    assert "Their licence was not stated" in read(0)


def test_sizes_are_those_of_the_record() -> None:
    card = model_card(a_digits_study(), a_complete(0, 0.9, 0.05, packed_bytes=3248), FILE)
    assert "| `student.safetensors` | 3,248 bytes |" in card
    assert "20.0 times smaller" in card
    assert "| 62500.00 KB |" in card
    assert "/home/me" not in card


@pytest.mark.parametrize(
    ("name", "kind", "shows"),
    [
        ("a.safetensors", "packed", "mlgsearch.load_packed('a.safetensors')"),
        ("a.onnx", "onnx", "onnxruntime.InferenceSession('a.onnx')"),
        ("a", "c", "cc -O2 -std=c99 -o student a/mlg.c -lm"),
        ("a.safetensors", "dense", "safetensors.torch.load_file"),
    ],
)
def test_it_says_how_each_format_is_run(name: str, kind: ExportFormat, shows: str) -> None:
    trial = a_complete(0, 0.9, 0.05, packed_bytes=3248)
    card = model_card(a_digits_study(), trial, CardFile(name, kind, 9))
    assert shows in card
    assert ("| packed file | 3,248 bytes |" in card) == (kind != "packed")


def test_a_known_data_set_has_its_name_there() -> None:
    study = a_study(content={"data": {"name": "CIFAR10"}, "model": {"name": "resnet18"}})
    assert metadata(model_card(study, a_complete(0, 0.9, 0.05), FILE))["datasets"] == [
        "uoft-cs/cifar10"
    ]


def test_names_do_not_become_markup() -> None:
    name = "a | b`: [x](http://y) <b> --- # é"
    study = a_digits_study(name=name)
    card = model_card(study, a_complete(0, 0.9, 0.05), FILE)
    assert metadata(card)["model-index"][0]["name"] == f"{name}-0"
    body = card.split("---\n", 2)[2]
    marks = re.sub(r"`[^`]*`", "", re.sub(r"\\.", "", body))  # neither escaped nor code
    assert "[x]" not in marks
    assert "<b>" not in marks
    for line in body.splitlines():
        if line.startswith("| study"):
            assert line.count("|") == 3


def test_a_network_of_ones_own_needs_what_builds_it() -> None:
    study = a_study(content={"data": {"name": "folder"}, "model": {"name": "mine:net"}})
    card = model_card(study, a_complete(0, 0.9, 0.05), FILE)
    assert "build=build" in card
    assert "a folder of images" in card

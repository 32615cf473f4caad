import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mlgsearch.errors import StudyFileError
from mlgsearch.results.analysis.difference import differing_keys
from mlgsearch.study.file.search_spec import EarlyStoppingSpec
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.train.spec import TrainSpec

FIRST = {
    "setting": [1, 8, 8, 8, 8],
    "layers": {"stem": [1, 2, 3, 4, 5]},
    "hyperparameters": {"training.batch_size": 32, "training.optimiser": "sgd"},
}
A_REFERENCE = {
    "name": "DSConv",
    "memory_ratio": 0.1287,
    "accuracy": 0.921,
    "source": "a paper",
    "protocol": "test part",
}


def parse(**content: Any) -> StudySpec:
    return parse_study({"name": "x", **content}, "x.yaml")


def test_a_minimal_file_has_the_default_recipe() -> None:
    spec = parse(data={"name": "digits"}, model={"name": "resnet8"})
    for training, optimiser, rate in (
        (spec.training, "relative_muon", 0.28),
        (spec.teacher.training, "relative_adamw", 0.18),
    ):
        assert (training.optimiser, training.schedule) == (optimiser, "one_cycle")
        assert (training.learning_rate, training.average) == (rate, 0.2)
    assert spec.space.kind == "allocation"
    assert spec.planned_trials > 0


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"training": {"learning_rate": 1, "weight_decay": 0}},
        {"search": {"first": [[2, 44, 3, 6, 3], FIRST]}},
        {"search": {"objectives": ["accuracy", "memory_ratio", "generation_macs"]}},
        {
            "space": {
                "hyperparameters": {
                    "training.learning_rate": {"low": 1, "high": 2, "log": True},
                    "training.batch_size": {"choices": [16, 32]},
                    "training.optimiser": {"choices": ["radam", "sgd"]},
                }
            }
        },
        {"space": {"head_bits": "search", "full_precision": ["stem", "layer*"]}},
        {"resources": {"cpu": 0.5, "gpu": 0.25, "max_parallel": 3}},
        {"references": [A_REFERENCE, A_REFERENCE | {"name": "PENNI"}]},
    ],
)
def test_content_reads_back_the_same(content: dict[str, Any]) -> None:
    spec = parse(**content)
    again = parse_study(spec.content(), "database")
    assert again == spec
    assert again.content_hash() == spec.content_hash()
    assert again.content() == spec.content()


def test_a_specification_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse().search.n_trials = 3  # type: ignore[misc]


def test_the_hash_ignores_the_target_and_the_resources() -> None:
    plain = parse()
    assert parse(search={"n_trials": 999}).content_hash() == plain.content_hash()
    resources = {"cpu": 0.5, "gpu": 1, "max_parallel": 7, "worker_retries": 9}
    assert parse(resources=resources).content_hash() == plain.content_hash()
    assert parse(references=[A_REFERENCE]).content_hash() == plain.content_hash()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"accuracy": 93.79},
            r"references\[0\].accuracy: must be above 0 and at most 1, got 93.79; ",
        ),
        ({"memory_ratio": 0}, r"references\[0\].memory_ratio: must be above 0"),
        ({"source": ""}, r"references\[0\].source: "),
        ({"name": "two\nlines"}, r"references\[0\].name: 'two\\nlines' must be one line"),
        ({"protocoll": "x"}, r"references\[0\].protocoll: unknown key, did you mean protocol\?"),
    ],
)
def test_a_reference_point_is_checked(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyFileError, match=f"^x.yaml: {said}"):
        parse(references=[A_REFERENCE | changed])


def test_a_reference_point_needs_all_its_keys() -> None:
    with pytest.raises(StudyFileError) as caught:
        parse(references=[{"name": "DSConv"}])
    assert [line.split(": ")[1:] for line in str(caught.value).splitlines()] == [
        [f"references[0].{key}", "is missing, and has no default"]
        for key in ("memory_ratio", "accuracy", "source", "protocol")
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"data": {"split_seed": 1}},
        {"model": {"width": 8}},
        {"teacher": {"seed": 1}},
        {"training": {"epochs": 11}},
        {"distillation": {"temperature": 2.0}},
        {"quantisation": {"method": "lsq"}},
        {"space": {"kind": "uniform"}},
        {"space": {"B_out": [1, 32]}},
        {"space": {"full_precision": ["stem"]}},
        {"space": {"hyperparameters": {"training.weight_decay": {"low": 0, "high": 1}}}},
        {"search": {"sampler": "nsga2"}},
        {"search": {"seed": 1}},
        {"search": {"first": [[1, 8, 3, 6, 3]]}},
        {"search": {"objectives": ["memory_ratio", "accuracy"]}},
    ],
    ids=str,
)
def test_the_hash_notices_everything_else(changed: dict[str, Any]) -> None:
    assert parse(**changed).content_hash() != parse().content_hash()


def test_the_hash_does_not_depend_on_the_order_of_keys_or_on_defaults_written_out() -> None:
    a = parse(training={"epochs": 3, "batch_size": 32})
    b = parse(training={"batch_size": 32, "epochs": 3, "schedule": "one_cycle"})
    assert a.content_hash() == b.content_hash()


def test_the_training_part_is_the_files(tmp_path: Path) -> None:
    train = parse(training={"epochs": 3}, seed=4).train_spec()
    assert type(train) is TrainSpec
    assert (train.training.epochs, train.seed) == (3, 4)


@pytest.mark.parametrize("name", ["x", "x" * 128, "Größe 2 (b)", "2026-11-22", "a/b"])
def test_names_of_1_to_128_printable_characters_are_taken(name: str) -> None:
    assert parse(name=name).name == name


@pytest.mark.parametrize("name", ["", "x" * 129, " x", "x ", "a\nb", "a\x00b", "a\u200bb"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(StudyFileError, match=r"^x\.yaml: name: "):
        parse(name=name)


def test_differences_are_told_by_key_with_both_values() -> None:
    old = parse(training={"epochs": 3}, search={"first": [[1, 8, 3, 6, 3]]})
    new = parse(training={"epochs": 4})
    lines = differing_keys(old.content(), new.content())
    assert lines[1] == "training.epochs: 3 -> 4"
    assert lines[0].startswith('search.first: [{"setting": [1, 8, 3, 6, 3]')
    assert lines[0].endswith("-> []")
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("off", None),
        (None, None),
        ("on", EarlyStoppingSpec(factor=3, first_rung=1, min_trials=12)),
        ({"factor": 4}, EarlyStoppingSpec(factor=4, first_rung=1, min_trials=12)),
        ({}, EarlyStoppingSpec()),
    ],
)
def test_early_stopping_is_a_word_or_numbers(written: Any, meant: EarlyStoppingSpec | None) -> None:
    spec = parse(search={"early_stopping": written})
    assert spec.search.early_stopping == meant
    assert parse_study(spec.content(), "x.yaml") == spec


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"early_stopping": "of"}, "search.early_stopping: expected on, off, or keys and values"),
        ({"early_stopping": True}, "search.early_stopping: expected keys and values, got True"),
        ({"early_stopping": {"factor": 1}}, "search.early_stopping.factor: must be at least 2"),
        ({"early_stopping": {"rung": 1}}, "search.early_stopping.rung: unknown key"),
        (
            {"early_stopping": "on", "objectives": ["loss", "memory_ratio"]},
            "search: early_stopping: trials are judged by accuracy, which is not among",
        ),
    ],
)
def test_early_stopping_that_is_written_wrong(search: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyFileError, match=re.escape(said)):
        parse(search=search)


def test_an_allocation_decides_on_the_width_of_normalisation_unless_the_file_does() -> None:
    open_file = {"name": "open"}
    spec = parse_study(open_file, "file")
    assert spec.space.hyperparameters["quantisation.norm_bits"].choices == (16, 32)
    assert parse_study(spec.content(), "stored") == spec
    for said in (
        {"quantisation": {"norm_bits": 32}},
        {"space": {"hyperparameters": {"quantisation.norm_bits": {"choices": [32]}}}},
    ):
        known = parse_study({**open_file, **said}, "file").space.hyperparameters
        assert [each.choices for each in known.values()] in ([], [(32,)])
    assert not parse_study({**open_file, "space": {"kind": "uniform"}}, "f").space.hyperparameters


def test_a_study_of_before_keeps_the_width_it_was_stored_with() -> None:
    stored = parse_study({"name": "old", "quantisation": {"norm_bits": 32}}, "file").content()
    assert stored["space"]["hyperparameters"] == {}
    assert parse_study(stored, "stored").space.hyperparameters == {}

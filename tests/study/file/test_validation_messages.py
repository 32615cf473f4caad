"""Every kind of mistake in a study file, as its author sees it."""

import pytest

from mlgsearch.errors import StudyFileError
from mlgsearch.study.file.strict_yaml import load
from mlgsearch.study.file.study_file import parse_study


def complaint(text: str) -> str:
    with pytest.raises(StudyFileError) as caught:
        parse_study(load(f"name: x\n{text}", "x.yaml"), "x.yaml")
    return str(caught.value)


def hyper(text: str) -> str:
    return f"space: {{hyperparameters: {{{text}}}}}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("search: {n_trails: 8}", "search.n_trails: unknown key, did you mean n_trials?"),
        ("serch: {}", "serch: unknown key, did you mean search?"),
        (
            "search: {zzz: 8}",
            "search.zzz: unknown key, known are early_stopping, first, n_trials, objectives",
        ),
        ("search: {'int': 8}", "search.int: unknown key, did you mean first?"),
        ("teacher: {training: {epoch: 3}}", "teacher.training.epoch: unknown key, did you mean"),
        ('search: {"a\\nb": 1}', r"search.'a\nb': unknown key"),
        ("search: {n_trials: many}", "search.n_trials: expected a whole number, got 'many'"),
        ("search: {n_trials: 8.5}", "search.n_trials: expected a whole number, got 8.5"),
        ("search: {n_trials: 0}", "search.n_trials: must be at least 1, got 0"),
        ("search: {n_trials: 1e9}", "search.n_trials: expected a whole number, got 1000000000.0"),
        (
            "search: {n_trials: 2000000}",
            "search.n_trials: must be at most 1000000, got 2000000",
        ),
        ("seed: -1", "seed: must be at least 0, got -1"),
        ("training: {epochs: '3'}", "training.epochs: expected a whole number, got '3'"),
        ("training: {learning_rate: fast}", "training.learning_rate: expected a number, got"),
        ("training: {learning_rate: .inf}", "training.learning_rate: expected a finite number"),
        ("training: {learning_rate: 0}", "training.learning_rate: must be above 0.0, got 0"),
        ("training:", "training: expected keys and values, got nothing"),
        ("training: [1]", "training: expected keys and values, got [1]"),
        ("data: {download: yes}", "data.download: expected true or false, got 'yes'"),
        ("data: {name: CIFAR10}", "data: data.root is needed for CIFAR10"),
        ("data: {name: CIFAR11, root: a}", "data.name: expected 'digits', 'folder', 'npz'"),
        ("data: {validation_fraction: 1}", "data.validation_fraction: must be below 1.0, got 1"),
        ("model: {name: 'os:a.b'}", "model.name: 'os:a.b' is neither a network's name nor module"),
        ("model: {name: '.x:y'}", "model.name: '.x:y' is neither a network's name nor module:call"),
        ('data: {root: "a\\0"}', "data.root: a path has no NUL character"),
        ("model: {name: 3}", "model.name: expected text, got 3"),
        (
            "space: {kind: layer}",
            "space.kind: expected 'allocation', 'layerwise' or 'uniform', got 'layer'; did",
        ),
        ("space: {B_in: 3}", "space.B_in: expected a list, got 3"),
        ("space: {B_in: [4, 2]}", "space.B_in: [4, 2] is not a range: write [low, high]"),
        ("space: {B_in: [0, 2]}", "space.B_in: [0, 2] is not a range"),
        ("space: {B_in: [1, a]}", "space.B_in[1]: expected a whole number, got 'a'"),
        ("space: {q_basis: [2, 9]}", "space.q_basis: [2, 9]: bits go from 1 to 8"),
        ("space: {head_bits: 9}", "space.head_bits: expected 1, 2, 3"),
        ("space: {kind: uniform, head_bits: search}", "space: head_bits: search needs kind"),
        ("space: {full_precision: stem}", "space.full_precision: expected a list, got 'stem'"),
        (hyper("training.lr: {low: 1, high: 2}"), "space.hyperparameters.training.lr: cannot be"),
        (
            hyper("training.learning_rate: {low: 2, high: 1}"),
            "space.hyperparameters.training.learning_rate: give low and high with low <= high",
        ),
        (
            hyper("training.learning_rate: {lo: 2, high: 3}"),
            "space.hyperparameters.training.learning_rate.lo: unknown key, did you mean low?",
        ),
        (
            hyper("training.learning_rate: {low: 0, high: 1}"),
            "space.hyperparameters: training.learning_rate.low: learning_rate: must be above 0.0",
        ),
        (
            hyper("training.learning_rate: {low: 0, high: 1, log: true}"),
            "space.hyperparameters.training.learning_rate: low must be positive",
        ),
        (
            hyper("distillation.weight: {low: 0.5, high: 1.5}"),
            "space.hyperparameters: distillation.weight.high: weight: must be at most 1.0, got 1.5",
        ),
        (
            hyper("training.batch_size: {low: 16, high: 64.5}"),
            "space.hyperparameters: training.batch_size.high: batch_size: expected a whole number",
        ),
        (
            hyper("training.optimiser: {choices: [sgd, adam]}"),
            "space.hyperparameters: training.optimiser.choices[1]: optimiser: expected "
            "'relative_muon', 'relative_adamw', 'muon', 'adamw', 'sgd' or 'radam', got 'adam'",
        ),
        (
            hyper("training.optimiser: {low: 1, high: 2}"),
            "space.hyperparameters: training.optimiser: has no range: give a list of choices",
        ),
        (
            hyper("training.optimiser: {choices: []}"),
            "space.hyperparameters.training.optimiser: give either low and high, or a non-empty",
        ),
        (
            hyper("training.optimiser: {choices: [true]}"),
            "space.hyperparameters.training.optimiser.choices[0]: expected a number or text, got",
        ),
        ("search: {sampler: bayes}", "search.sampler: 'bayes' is not one of tpe, nsga2, nsga3,"),
        ("search: {sampler: '..:x'}", "search.sampler: '..:x' is not one of tpe"),
        ("search: {objectives: [accuracy]}", "search.objectives: name at least two, each once"),
        ("search: {objectives: [loss, loss]}", "search.objectives: name at least two, each once"),
        ("search: {objectives: [accuracy, size]}", "search.objectives: 'size' is not known; known"),
        ("search: {first: 3}", "search.first: expected a list, got 3"),
        ("search: {first: [3]}", "search.first[0]: expected keys and values, got 3"),
        ("search: {first: [[1, 2]]}", "search.first[0].setting: a layer setting has five numbers"),
        (
            "search: {first: [[1, 2, 3, 4, 5.5]]}",
            "search.first[0].setting[4]: expected a whole number, got 5.5",
        ),
        ("search: {first: [[1, 2, 9, 4, 5]]}", "search.first[0].setting: (1, 2, 9, 4, 5): q_basis"),
        (
            "search: {first: [{setting: [1, 2, 3, 4, 5], layers: {stem: [1]}}]}",
            "search.first[0].layers.stem: a layer setting has five numbers, got 1: (1,)",
        ),
        ("resources: {cpu: 0}", "resources.cpu: must be above 0"),
        ("resources: {max_parallel: 1.5}", "resources.max_parallel: expected a whole number"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(text: str, line: str) -> None:
    said = complaint(text)
    assert said.startswith(f"x.yaml: {line}")
    assert "\n" not in said


def test_the_message_of_the_readme_is_exact() -> None:
    expected = "x.yaml: search.n_trails: unknown key, did you mean n_trials?"
    assert complaint("search: {n_trails: 8}") == expected


def test_every_mistake_has_its_line() -> None:
    assert complaint("seed: -1\nsearch: {seed: a, sampler: b}").splitlines() == [
        "x.yaml: seed: must be at least 0, got -1",
        "x.yaml: search.sampler: 'b' is not one of tpe, nsga2, nsga3, random, qmc, module:callable",
        "x.yaml: search.seed: expected a whole number, got 'a'",
    ]


@pytest.mark.parametrize("content", [None, 3, "name: x", [], [{"name": "x"}]])
def test_a_file_that_is_no_mapping_is_told_what_one_looks_like(content: object) -> None:
    with pytest.raises(StudyFileError, match=r"^x\.yaml: must hold keys and values, such as"):
        parse_study(content, "x.yaml")


def test_a_missing_name_is_named() -> None:
    with pytest.raises(StudyFileError, match=r"^x\.yaml: name: is missing, and has no default$"):
        parse_study({}, "x.yaml")


def test_a_huge_value_is_cut_short() -> None:
    assert len(complaint(f"search: {{n_trials: {'z' * 900_000}}}")) < 200
    bomb = "b0: &b0 [x]\n" + "\n".join(
        f"b{i}: &b{i} [{', '.join([f'*b{i - 1}'] * 9)}]" for i in range(1, 11)
    )
    text = f"{bomb}\nsearch: {{first: [[*b10]]}}"
    assert all(len(line) < 700 for line in complaint(text).splitlines())

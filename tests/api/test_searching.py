"""Search in this process: any task, loss, metric and batches."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import mlgsearch
from mlgsearch.errors import StudyFileError, UserError
from mlgsearch.mlg.input_quantiser import write_in_bits
from mlgsearch.mlg.quantise import SymmetricLsqQuantiser, quantise_symmetric
from tests.planning.samples import digits, trained

SPACE = {"weighting": "relative", "B_in": [1, 2], "B_out": [1, 8]}
EPOCHS = 2


def pairs() -> list[tuple[Tensor, Tensor]]:
    images, labels = digits()
    return [(images[at : at + 64], labels[at : at + 64]) for at in range(0, 512, 64)]


def loss(outputs: Tensor, targets: Tensor, wanted: Tensor) -> Tensor:
    soft = functional.kl_div(outputs.log_softmax(1), wanted.softmax(1), reduction="batchmean")
    return functional.cross_entropy(outputs, targets) + soft


def accuracy(network: nn.Module) -> float:
    assert not network.training
    assert not torch.is_grad_enabled()
    images, labels = digits()
    return float((network(images[1500:]).argmax(1) == labels[1500:]).float().mean())


def errors(network: nn.Module) -> float:
    return 1 - accuracy(network)


class Recorder(mlgsearch.Callback):
    def __init__(self) -> None:
        self.epochs: list[tuple[int, dict[str, Any]]] = []
        self.trials: list[dict[str, Any]] = []

    def on_epoch(self, trial: int, epoch: Any) -> None:
        self.epochs.append((trial, dict(epoch)))

    def on_trial(self, trial: Any) -> None:
        self.trials.append(dict(trial))


def a_search(**options: Any) -> mlgsearch.SearchResult:
    given: dict[str, Any] = {
        "loss": loss,
        "metric": mlgsearch.Metric("right", accuracy, larger_is_better=True),
        "budgets": [3000, 6000],
        "space": SPACE,
        "training": {"epochs": EPOCHS},
    }
    train = options.pop("train", pairs())
    return mlgsearch.search(trained(), train, **{**given, **options})


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def result(recorder: Recorder) -> mlgsearch.SearchResult:
    return a_search(callbacks=[recorder])


def test_students_keep_their_budgets_and_have_learned(result: mlgsearch.SearchResult) -> None:
    trials = result.trials()
    assert list(trials["state"]) == ["COMPLETE", "COMPLETE"]
    assert (trials["packed_bytes"] <= trials["budget"]).all()
    assert trials["right"].iloc[1] > 0.8
    assert result.teacher_value == accuracy_of(trained())
    student = result.student(1)
    assert student.packed_bytes == trials["packed_bytes"].iloc[1]
    assert accuracy_of(student.network) == trials["right"].iloc[1]
    smallest = result.student(0)
    untrained = mlgsearch.compress(trained(), smallest.settings, input_shape=(1, 8, 8))
    assert accuracy_of(untrained.network.eval()) < trials["right"].iloc[0] - 0.1


@torch.no_grad()
def accuracy_of(network: nn.Module) -> float:
    return accuracy(network)


def test_epochs_are_rows_and_callbacks_see_them(
    result: mlgsearch.SearchResult, recorder: Recorder
) -> None:
    epochs = result.epochs()
    assert list(epochs.index) == [0, 0, 1, 1]
    assert list(epochs["epoch"]) == [1, 2, 1, 2]
    assert [trial for trial, _ in recorder.epochs] == [0, 0, 1, 1]
    assert [row["right"] for _, row in recorder.epochs] == list(epochs["right"])
    assert [(row["trial"], row["state"]) for row in recorder.trials] == [
        (0, "RUNNING"),
        (0, "COMPLETE"),
        (1, "RUNNING"),
        (1, "COMPLETE"),
    ]
    assert recorder.trials[-1]["right"] == result.trials()["right"].iloc[1]


def test_a_smaller_metric_may_be_better(result: mlgsearch.SearchResult) -> None:
    other = a_search(metric=mlgsearch.Metric("wrong", errors, larger_is_better=False))
    assert list(other.trials()["wrong"]) == [1 - x for x in result.trials()["right"]]
    assert list(other.front().index) == list(result.front().index)


def test_the_same_seed_gives_the_same_students(result: mlgsearch.SearchResult) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    again = a_search()
    assert list(again.trials()["right"]) == list(result.trials()["right"])
    assert list(again.epochs()["train_loss"]) == list(result.epochs()["train_loss"])
    assert torch.equal(torch.random.get_rng_state(), before)
    other = a_search(seed=1, train=torch.utils.data.DataLoader(_Set(), 64, shuffle=True))
    assert list(other.epochs()["train_loss"]) != list(result.epochs()["train_loss"])


class _Set(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    def __len__(self) -> int:
        return 512

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        return digits()[0][at], digits()[1][at]


def test_a_training_that_diverges_fails_alone(result: mlgsearch.SearchResult) -> None:
    calls = iter(range(1000))

    def breaks(outputs: Tensor, targets: Tensor, wanted: Tensor) -> Tensor:
        found = loss(outputs, targets, wanted)
        return found / 0 if next(calls) == 2 else found

    found = a_search(loss=breaks)
    assert list(found.trials()["state"]) == ["FAIL", "COMPLETE"]
    assert found.trials()["error"].iloc[0] == "training diverged: loss inf in epoch 1, step 3"
    assert list(found.epochs().index) == [1, 1]
    assert found.trials()["right"].iloc[1] == result.trials()["right"].iloc[1]
    assert list(found.front().index) == [1]
    with pytest.raises(UserError, match="trial 0 failed: training diverged"):
        found.student(0)
    with pytest.raises(UserError, match="trial 7: there are 0 to 1"):
        found.student(7)


def test_a_metric_that_is_not_finite_is_a_failure() -> None:
    nothing = mlgsearch.Metric("nothing", lambda network: float("nan"), larger_is_better=True)
    found = a_search(metric=nothing, budgets=[3000])
    assert list(found.trials()["state"]) == ["FAIL"]
    assert list(found.trials()["error"]) == ["metric nothing is nan after epoch 1"]
    assert len(found.front()) == 0


def test_what_a_callback_raises_ends_the_search() -> None:
    class Stop(mlgsearch.Callback):
        def on_epoch(self, trial: int, epoch: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        a_search(callbacks=[Stop()])


class _Liar(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(pairs()[:4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": []}, "train: it has no batches"),
        ({"train": [torch.zeros(2, 1, 8, 8)]}, "a batch must be a pair"),
        ({"train": _Liar(pairs())}, "train: it has 4 batches, its length says 8"),
        ({"train": _Liar(pairs()[:2])}, "more than the 2 batches that its length says"),
        ({"loss": lambda o, t, w: o}, "loss: it must return a tensor without dimensions"),
        (
            {"training": {"batch_size": 8}},
            "search: training.batch_size: it has no effect here: the batches are those of `train`",
        ),
        (
            {"training": {"epochs": 1, "label_smoothing": 0.1}},
            "search: training.label_smoothing: it has no effect here: let `loss` smooth",
        ),
        (
            {"train": [(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2))]},
            "train: expected images of a floating-point type, got torch.uint8",
        ),
        (
            {"metric": mlgsearch.Metric("packed_bytes", accuracy, True)},
            "'packed_bytes' is the name of a column: choose another",
        ),
        ({"budgets": 0}, "front: count is 0, expected 1 or more"),
        ({"budgets": 2.5}, "front: count is 2.5, expected 1 or more"),
    ],
)
def test_a_mistake_is_a_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        a_search(**options)
    assert "\n" not in str(raised.value)


def test_rows_have_the_size_of_the_file(tmp_path: Path) -> None:
    found = a_search(
        budgets=[2600],
        architecture={"name": "resnet8", "width": 8},
        mean=[-0.25],
        training={"epochs": 1},
    )
    size = found.student(0).export(tmp_path / "a.safetensors")
    assert size == found.trials()["packed_bytes"].iloc[0] <= 2600


def test_both_networks_have_the_trainings_precision() -> None:
    seen: list[tuple[bool, bool]] = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = trained()

        def forward(self, x: Tensor) -> Tensor:
            if torch.is_autocast_enabled("cpu"):
                seen.append((torch.is_grad_enabled(), self.inner.training))
            out: Tensor = self.inner(x)
            return out

    a_search(teacher=Watched(), budgets=[3000], training={"epochs": 1, "precision": "bfloat16"})
    assert seen == [(False, False)] * len(pairs())
    seen.clear()
    a_search(teacher=Watched(), budgets=[3000], training={"epochs": 1})
    assert not seen


def test_factors_are_quantised_together(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(latents: list[Tensor], quantisers: list[Any]) -> Any:
        calls.append(len(latents))
        return quantise_symmetric(latents, quantisers)

    monkeypatch.setattr("mlgsearch.mlg.quantise_together.quantise_symmetric", counted)
    found = a_search(budgets=[3000], training={"epochs": 1})
    codes = [
        quantiser
        for module in found.student(0).network.modules()
        if isinstance(module, SymmetricLsqQuantiser)
        for quantiser in [module]
    ]
    assert calls == [len(codes)] * len(pairs())


def test_keys_are_those_of_a_study_file() -> None:
    with pytest.raises(StudyFileError, match=r"search: training\.epoch.*epochs"):
        a_search(training={"epoch": 3})


def test_students_have_the_activation_bits_that_the_limit_allows(tmp_path: Path) -> None:
    found = a_search(
        budgets=[4000],
        space={**SPACE, "activation_bits": [4, 6, 8]},
        limits={"peak_activation_bytes": 4500},
        training={"epochs": 1},
    )
    student = found.student(0)
    assert set(map(int, write_in_bits(student.card.in_bits).split(","))) == {6, 8}
    path = tmp_path / "student.safetensors"
    assert student.export(path) <= 4000
    opened = mlgsearch.load_packed(path, build=lambda **sides: deepcopy(trained()))
    assert torch.equal(opened(digits()[0][:8]), student.network(digits()[0][:8]))

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from mlgsearch.train.loop.distillation import SoftTargets
from mlgsearch.train.loop.stored_logits import LARGEST, StoredLogits, layout, pack
from mlgsearch.train.spec import DistillationSpec


@given(st.floats(0, 1), st.floats(0.5, 10), st.integers(0, 1000))
def test_equals_the_formula(weight: float, temperature: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    teacher = torch.randn(9, 4, generator=generator)
    student = torch.randn(3, 4, generator=generator)
    labels = torch.tensor([0, 3, 1])
    positions = torch.tensor([8, 2, 5])
    spec = DistillationSpec(weight=weight, temperature=temperature)
    got = SoftTargets(teacher, spec).loss(student, labels, positions)
    divergence = functional.kl_div(
        (student / temperature).log_softmax(1),
        (teacher[positions] / temperature).log_softmax(1),
        reduction="batchmean",
        log_target=True,
    )
    hard = functional.cross_entropy(student, labels)
    expected = (1 - weight) * hard + weight * temperature**2 * divergence
    assert got.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-4)


def test_a_student_that_answers_as_the_teacher_has_no_divergence() -> None:
    teacher = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    targets = SoftTargets(teacher, DistillationSpec(weight=1.0))
    loss = targets.loss(teacher[:2], torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(0, abs=1e-5)


def test_labels_are_smoothed_in_their_own_term_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    teacher, student = torch.randn(2, 6, 4, generator=generator).unbind()
    labels, positions = torch.tensor([0, 3, 1, 2, 2, 0]), torch.arange(6)
    spec = DistillationSpec(weight=0.25)
    plain = SoftTargets(teacher, spec).loss(student, labels, positions)
    smooth = SoftTargets(teacher, spec, 0.3).loss(student, labels, positions)
    hard = functional.cross_entropy(student, labels)
    spread = -functional.log_softmax(student, 1).mean()
    expected = plain + 0.75 * (0.3 * spread - 0.3 * hard)
    assert smooth.item() == pytest.approx(expected.item(), rel=1e-5)


def test_stored_logits_of_few_classes_are_in_half_precision() -> None:
    logits = 5 * torch.randn(7, 100, generator=torch.Generator().manual_seed(0))
    packed = pack(logits)
    assert (packed.shape[1], str(packed.dtype)) == (100, "torch.float16")
    assert layout(100) == (100, "float16")
    positions = torch.tensor([6, 0])
    assert torch.equal(StoredLogits(packed, 100)[positions], logits[positions].half().float())


def test_of_many_classes_the_largest_are_stored_and_the_rest_keeps_its_probability() -> None:
    classes = 1000
    logits = 5 * torch.randn(7, classes, generator=torch.Generator().manual_seed(0))
    packed = pack(logits)
    assert (packed.shape[1], packed.dtype) == (65, torch.int16)
    assert layout(classes) == (65, "int16")
    read = StoredLogits(packed, classes)[torch.arange(7)]
    values, where = logits.topk(LARGEST, 1)
    assert torch.equal(read.gather(1, where), values.half().float())
    others = read.scatter(1, where, torch.nan)
    assert all(len(set(row[~row.isnan()].tolist())) == 1 for row in others)
    kept, expected = ((each / 4).softmax(1).gather(1, where).sum(1) for each in (read, logits))
    assert torch.allclose(kept, expected, atol=2e-3)


def test_logits_beyond_half_precision_stay_finite() -> None:
    logits = torch.full((1, 200), -1e9)
    logits[0, 3] = 1e9
    assert StoredLogits(pack(logits), 200)[torch.tensor([0])].isfinite().all()

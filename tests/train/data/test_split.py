import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.errors import DataError
from mlgsearch.train.data.split import stratified_split

NAMES = ("ant", "bee")


@given(
    st.integers(3, 60),
    st.integers(3, 60),
    st.floats(0.01, 0.49),
    st.floats(0.01, 0.49),
    st.integers(0, 1000),
)
def test_parts_are_disjoint_cover_all_and_hold_each_class(
    ants: int, bees: int, validation: float, test: float, seed: int
) -> None:
    labels = torch.tensor([0] * ants + [1] * bees)
    parts = stratified_split(labels, NAMES, (validation, test), seed)
    assert torch.cat(parts).sort().values.tolist() == list(range(ants + bees))
    for part in parts:
        assert set(labels[part].tolist()) == {0, 1}
        assert part.tolist() == sorted(part.tolist())


def test_shares_are_rounded_class_by_class() -> None:
    labels = torch.tensor([0] * 100 + [1] * 50)
    train, validation, test = stratified_split(labels, NAMES, (0.1, 0.2), 0)
    assert labels[validation].bincount().tolist() == [10, 5]
    assert labels[test].bincount().tolist() == [20, 10]
    assert labels[train].bincount().tolist() == [70, 35]


def test_the_seed_decides() -> None:
    labels = torch.tensor([0, 1] * 50)
    first, again, other = (stratified_split(labels, NAMES, (0.2,), seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_a_class_too_small_is_named() -> None:
    with pytest.raises(DataError, match=r"class 'bee' has 2 images.*at least 3"):
        stratified_split(torch.tensor([0, 0, 0, 1, 1]), NAMES, (0.2, 0.2), 0)

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.train.data.randomness import Purpose, permutation, random_words, seed_torch

seeds = st.integers(0, 2**40)
epochs = st.integers(0, 10_000)


@given(seeds, epochs, st.integers(0, 50), st.integers(0, 50))
def test_a_shorter_draw_is_a_prefix_of_a_longer_one(
    seed: int, epoch: int, count: int, more: int
) -> None:
    short = random_words(Purpose.ORDER, seed, epoch, count)
    long = random_words(Purpose.ORDER, seed, epoch, count + more)
    assert (long[:count] == short).all()


@given(seeds, epochs, st.integers(1, 200))
def test_a_permutation_holds_every_position_once(seed: int, epoch: int, count: int) -> None:
    order = permutation(Purpose.ORDER, seed, epoch, count)
    assert order.sort().values.tolist() == list(range(count))


def test_seed_epoch_and_purpose_all_matter() -> None:
    words = {
        random_words(purpose, seed, epoch, 1)[0]
        for purpose in (Purpose.ORDER, Purpose.AUGMENTATION)
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(words) == 8


def test_words_are_the_same_on_every_machine() -> None:
    # Pinned: a change of these would break every cached teacher and every resumed trial.
    words = random_words(Purpose.AUGMENTATION, 7, 3, 2)
    assert words.dtype == np.uint64
    assert words.tolist() == [12055947490392742171, 11320990295340423574]


def test_seeding_torch_repeats() -> None:
    seed_torch(3, 4)
    first = torch.rand(3)
    seed_torch(3, 4)
    assert torch.equal(torch.rand(3), first)
    seed_torch(3, 5)
    assert not torch.equal(torch.rand(3), first)

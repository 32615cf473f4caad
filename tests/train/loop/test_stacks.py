import torch

from mlgsearch.train.loop.flat import Matrix
from mlgsearch.train.loop.stacks import Stacks

#: Two that share a stack, one of them standing; one alone; one too large to be padded.
MATRICES = [Matrix(0, 3, 5), Matrix(16, 7, 4), Matrix(48, 1, 2), Matrix(64, 65, 70)]


def test_small_matrices_of_about_one_shape_share_a_stack() -> None:
    flat = torch.arange(1.0, 64 + 65 * 70 + 7)
    stacks = Stacks(MATRICES, flat)
    assert [tuple(stack.places.shape) for stack in stacks.stacks] == [
        (2, 4, 8),
        (1, 1, 2),
        (1, 65, 70),
    ]
    shared, *_ = (stack.of(flat) for stack in stacks.stacks)
    assert torch.equal(shared[0, :3, :5], MATRICES[0].of(flat))
    assert torch.equal(shared[1, :4, :7], MATRICES[1].of(flat).T)
    assert int((shared == 0).sum()) == 2 * 32 - 15 - 28
    assert [stack.sides.tolist() for stack in stacks.stacks] == [[5, 7], [2], [70]]


def test_what_is_taken_goes_back_to_its_place() -> None:
    flat = torch.arange(1.0, 64 + 65 * 70 + 7)
    stacks = Stacks(MATRICES, flat)
    back = stacks.flat([10 * stack.of(flat) for stack in stacks.stacks])
    for matrix in MATRICES:
        assert torch.equal(matrix.of(back), 10 * matrix.of(flat))
        matrix.of(back).zero_()
    assert not back.any(), "what lies between matrices is zero"


def test_numbers_of_matrices_are_split_among_the_stacks() -> None:
    stacks = Stacks(MATRICES, torch.zeros(64 + 65 * 70))
    parts = stacks.split(torch.arange(4))
    assert [part.tolist() for part in parts] == [[0, 1], [2], [3]]

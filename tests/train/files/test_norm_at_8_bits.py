"""Packed and coded files whose batch-norm is at 8 bits."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mlgsearch.errors import UserError
from mlgsearch.mlg.batch_norm import scale_and_shift
from mlgsearch.train.files.coded_file import write_coded
from mlgsearch.train.files.packed_file import (
    load_packed,
    packed_bytes,
    packed_size,
    read_packed,
    to_bytes,
    write_packed,
)
from mlgsearch.train.files.student_file import at_norm_bits
from tests.train.files.test_packed_file import a_student


@torch.no_grad()
@pytest.mark.parametrize("norm_bits", [16, 32])
def test_a_file_is_smaller_and_its_network_nearly_the_student(
    tmp_path: Path, norm_bits: int
) -> None:
    torch.manual_seed(0)
    student, card = a_student(norm_bits=norm_bits)
    at_8 = at_norm_bits(card, "packed", 8)
    assert (at_8.norm_bits, at_8.accuracy) == (8, None)
    path = tmp_path / "a.safetensors"
    size = write_packed(path, student, at_8)
    channels = sum(m.num_features for m in student.modules() if isinstance(m, nn.BatchNorm2d))
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in student.modules())
    saved = 2 * channels * (norm_bits - 8) // 8 - 8 * norms
    assert len(to_bytes(student, card)) - size == pytest.approx(saved, abs=100)  # the header
    assert size == path.stat().st_size == packed_size(student, at_8)
    opened = load_packed(path)
    images = torch.randn(64, 1, 8, 8).contiguous(memory_format=torch.channels_last)
    expected = student(images)
    error = (opened(images) - expected).abs().max()
    assert 0 < error < 0.1 * expected.std()
    write_coded(tmp_path / "a.mlg", student, at_8)
    assert packed_bytes(*read_packed(tmp_path / "a.mlg")) == path.read_bytes()


@torch.no_grad()
def test_every_scale_and_shift_is_near_the_students(tmp_path: Path) -> None:
    torch.manual_seed(0)
    student, card = a_student()
    write_packed(tmp_path / "a", student, at_norm_bits(card, "packed", 8))
    opened = dict(load_packed(tmp_path / "a").named_modules())
    for name, norm in student.named_modules():
        if isinstance(norm, nn.BatchNorm2d):
            found = scale_and_shift(opened[name])
            for value, expected in zip(found, scale_and_shift(norm), strict=True):
                step = (expected.max() - expected.min()) / 255
                bound = 0.63 * step + expected.abs().max() / 2000
                assert (value - expected).abs().max() <= bound


def test_other_bits_and_formats_are_refused() -> None:
    _, card = a_student()
    assert at_norm_bits(card, "onnx", None) is card
    with pytest.raises(UserError, match="8 bits is for packed and coded files, not onnx"):
        at_norm_bits(card, "onnx", 8)
    with pytest.raises(UserError, match="norm_bits is 4, expected 8"):
        at_norm_bits(card, "packed", 4)

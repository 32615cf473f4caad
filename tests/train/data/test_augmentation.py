import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.spec import DataSpec

augmentations = st.builds(Augmentation, padding=st.integers(0, 5), flips=st.booleans())


def naive(image: Tensor, padding: int, draw: list[int]) -> Tensor:
    """Cut and mirror one image (C, H, W), pixel by pixel."""
    channels, height, width = image.shape
    top, left, mirrored = draw
    out = torch.zeros_like(image)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                source_y = y + top - padding
                source_x = (width - 1 - x if mirrored else x) + left - padding
                if 0 <= source_y < height and 0 <= source_x < width:
                    out[c, y, x] = image[c, source_y, source_x]
    return out


@settings(max_examples=25)
@given(
    augmentations,
    st.integers(1, 4),
    st.sampled_from([1, 3]),
    st.integers(2, 6),
    st.integers(2, 6),
    st.sampled_from([torch.uint8, torch.float32]),
)
def test_equals_a_loop_over_pixels(
    augmentation: Augmentation,
    count: int,
    channels: int,
    height: int,
    width: int,
    dtype: torch.dtype,
) -> None:
    images = torch.arange(count * channels * height * width).reshape(count, channels, height, width)
    images = (images % 255 + 1).to(dtype)
    draws = augmentation.draw(seed=5, epoch=2, count=count)
    out = augmentation.apply(images, draws)
    assert out.dtype == dtype
    for image, draw, got in zip(images, draws.tolist(), out, strict=True):
        assert torch.equal(got, naive(image, augmentation.padding, draw))


@settings(max_examples=25)
@given(augmentations, st.permutations(range(12)), st.integers(1, 11), st.integers(0, 99))
def test_a_sample_does_not_depend_on_its_batch(
    augmentation: Augmentation, order: list[int], cut: int, epoch: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, 3, 5, 5), generator=generator).to(torch.uint8)
    draws = augmentation.draw(1, epoch, 12)
    whole = augmentation.apply(images, draws)
    for part in (order[:cut], order[cut:]):
        assert torch.equal(augmentation.apply(images[part], draws[part]), whole[part])
    assert torch.equal(augmentation.draw(1, epoch, 5), draws[:5])


def test_draws_reach_every_place_evenly_and_change_with_the_epoch() -> None:
    augmentation = Augmentation(padding=2, flips=True)
    draws = augmentation.draw(0, 1, 5000)
    assert (draws[:, 0].bincount(minlength=5) > 900).all()
    assert (draws[:, 1].bincount(minlength=5) > 900).all()
    assert (draws[:, 2].bincount(minlength=2) > 2300).all()
    following = augmentation.draw(0, 2, 5000)
    assert not torch.equal(draws[:, :2], following[:, :2])
    assert torch.equal(draws[:, 2], 1 - following[:, 2])
    assert not torch.equal(draws, augmentation.draw(1, 1, 5000))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits", Augmentation(0, flips=False)),
        ("MNIST", Augmentation(0, flips=False)),
        ("SVHN", Augmentation(4, flips=False)),
        ("CIFAR100", Augmentation(4, flips=True)),
        ("folder", Augmentation(4, flips=True)),
    ],
)
def test_auto_goes_by_the_set(name: str, expected: Augmentation) -> None:
    spec = DataSpec.model_validate({"name": name, "root": "x"})
    assert Augmentation.of(spec) == expected


def test_a_study_file_can_choose() -> None:
    assert Augmentation.of(DataSpec(augmentation="crop", crop_padding=1)) == Augmentation(
        1, flips=False
    )
    assert Augmentation.of(DataSpec(augmentation="none")).is_identity
    assert Augmentation.of(DataSpec(augmentation="crop_flip")).flips

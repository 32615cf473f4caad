from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor
from torchvision.transforms import v2

from mlgsearch.errors import DataError
from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.load import load_images
from mlgsearch.train.data.transforms import Transforms
from mlgsearch.train.spec import ColourJitterSpec, DataSpec, RandAugmentSpec

augmentations = st.builds(
    Augmentation, padding=st.integers(0, 5), flips=st.booleans(), cutout=st.sampled_from([0, 1, 4])
)


def naive(image: Tensor, augmentation: Augmentation, draw: list[int]) -> Tensor:
    """Cut and mirror one image (C, H, W), and put the square on it, pixel by pixel."""
    padding, size = augmentation.padding, augmentation.cutout
    channels, height, width = image.shape
    top, left, mirrored, *square = draw
    out = torch.zeros_like(image)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                source_y = y + top - padding
                source_x = (width - 1 - x if mirrored else x) + left - padding
                if 0 <= source_y < height and 0 <= source_x < width:
                    out[c, y, x] = image[c, source_y, source_x]
                if square:
                    down = y - (square[0] % height - size // 2)
                    across = x - (square[0] // height % width - size // 2)
                    if 0 <= down < size and 0 <= across < size:
                        out[c, y, x] = 128
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
        assert torch.equal(got, naive(image, augmentation, draw))


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


#: Every way to draw of torchvision's v2, by itself and together.
TRANSFORMS = [
    Transforms(resized_crop=(0.2, 1.0)),
    Transforms(rand_augment=(2, 9)),
    Transforms(colour_jitter=(0.4, 0.4, 0.4, 0.1)),
    Transforms((0.35, 1.0), (1, 5), (0.2, 0.0, 0.0, 0.0)),
]


def some_images(count: int, channels: int = 3, height: int = 12, width: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


@pytest.mark.parametrize("transforms", TRANSFORMS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_transformed_sample_is_a_function_of_seed_epoch_and_place(
    transforms: Transforms, channels: int
) -> None:
    augmentation = Augmentation(2, flips=True, transforms=transforms)
    images = some_images(14, channels)
    draws = augmentation.draw(1, 3, 14)
    assert torch.equal(augmentation.draw(1, 3, 6), draws[:6])
    torch.manual_seed(1)
    whole = augmentation.apply(images, draws)
    assert (whole.shape, whole.dtype) == (images.shape, torch.uint8)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(3))  # dropout's generator is as it was
    torch.manual_seed(99)
    for part in ([3], [13, 0, 7], list(range(14))[::-1]):
        assert torch.equal(augmentation.apply(images[part], draws[part]), whole[part])
    for other in (augmentation.draw(1, 4, 14), augmentation.draw(2, 3, 14)):
        assert not torch.equal(augmentation.apply(images, other), whole)
    alike = images[:1].expand(14, -1, -1, -1)
    assert len({tuple(row) for row in augmentation.apply(alike, draws).flatten(1).tolist()}) > 7


@pytest.mark.parametrize("transforms", TRANSFORMS)
def test_each_sample_is_what_torchvision_makes_of_it(transforms: Transforms) -> None:
    images = some_images(5)
    seeds = [7, 2**62, 0, 123456789, 5]
    out = transforms.apply(images, seeds)
    steps: list[torch.nn.Module] = []
    if transforms.resized_crop is not None:
        steps.append(v2.RandomResizedCrop((12, 9), scale=transforms.resized_crop))
    if transforms.rand_augment is not None:
        steps.append(v2.RandAugment(*transforms.rand_augment))
    if transforms.colour_jitter is not None:
        steps.append(v2.ColorJitter(*transforms.colour_jitter))
    for image, seed, got in zip(images, seeds, out, strict=True):
        torch.manual_seed(seed)
        assert torch.equal(v2.Compose(steps)(image), got)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_splitting_an_epoch_over_workers_changes_nothing(workers: int) -> None:
    augmentation = Augmentation(1, flips=True, transforms=TRANSFORMS[3], cutout=4)
    images = some_images(20)
    whole = augmentation.apply(images, augmentation.draw(5, 2, 20))
    with ThreadPoolExecutor(1) as other:  # a worker draws by itself, from seed and epoch
        for worker in range(workers):
            mine = torch.arange(worker, 20, workers)
            draws = other.submit(augmentation.draw, 5, 2, 20).result()[mine]
            assert torch.equal(augmentation.apply(images[mine], draws), whole[mine])


def test_a_study_file_names_transforms() -> None:
    assert Augmentation.of(DataSpec()).transforms is None
    jitter = ColourJitterSpec(brightness=0.4, hue=0.1)
    spec = DataSpec(
        name="CIFAR10",
        root="x",
        random_resized_crop=(0.35, 1),
        rand_augment=RandAugmentSpec(),
        colour_jitter=jitter,
    )
    expected = Transforms((0.35, 1), (2, 9), (0.4, 0.0, 0.0, 0.1))
    assert Augmentation.of(spec) == Augmentation(0, flips=True, transforms=expected)
    alone = DataSpec(name="CIFAR10", root="x", rand_augment=RandAugmentSpec(), augmentation="none")
    assert Augmentation.of(alone) == Augmentation(
        0, flips=False, transforms=Transforms(rand_augment=(2, 9))
    )
    assert not Augmentation.of(alone).is_identity
    square = DataSpec(augmentation="none", cutout=5)
    assert Augmentation.of(square) == Augmentation(0, flips=False, cutout=5)
    assert not Augmentation.of(square).is_identity


def test_a_square_as_large_as_the_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.cutout: a square of 8 pixels would cover whole"):
        load_images(DataSpec(cutout=8), tmp_path)
    load_images(DataSpec(cutout=7), tmp_path)


def test_a_square_is_drawn_apart_from_what_else_is_drawn() -> None:
    plain = Augmentation(2, flips=True, transforms=TRANSFORMS[1])
    cut = Augmentation(2, flips=True, transforms=TRANSFORMS[1], cutout=4)
    images = some_images(200)
    draws = cut.draw(3, 1, 200)
    assert torch.equal(draws[:, [0, 1, 2, 4]], plain.draw(3, 1, 200))
    before, after = plain.apply(images, plain.draw(3, 1, 200)), cut.apply(images, draws)
    covered = (after != before).any(1)
    assert (after == 128)[covered[:, None].expand_as(after)].all()
    assert covered.sum((1, 2)).max() == 16  # whole, where it does not lie over the border
    assert (covered.sum(0) > 0).all()  # every pixel is covered by some


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"random_resized_crop": [0.5, 0.2]}, "no range of areas: write"),
        ({"random_resized_crop": [0, 1]}, "no range of areas: write"),
        ({"colour_jitter": {}}, "name at least one of brightness"),
        ({"colour_jitter": {"hue": 0.6}}, "less than or equal to 0.5"),
        ({"rand_augment": {"magnitude": 31}}, "less than or equal to 30"),
    ],
)
def test_what_a_study_file_may_not_say(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataSpec.model_validate(keys)


def test_hashes_of_what_there_was_before_stay() -> None:
    assert Augmentation(4, flips=True).content() == {"padding": 4, "flips": True}
    content = Augmentation(0, flips=True, transforms=TRANSFORMS[0]).content()
    assert content["resized_crop"] == (0.2, 1.0)
    assert len(content["versions"]) == 2
    assert "rand_augment" not in content
    assert not {"rand_augment", "cutout"} & DataSpec().content().keys()
    assert Augmentation(4, flips=True, cutout=8).content()["cutout"] == 8


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

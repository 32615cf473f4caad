"""The list of data sets: every name can be read and is documented, and a line adds one."""

from importlib import import_module
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from mlgsearch.errors import DataError
from mlgsearch.study.file.validation_messages import validation_messages
from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.images import Arrays, LabelledImages
from mlgsearch.train.data.load import load_images
from mlgsearch.train.data_sets import DATA_SETS, DataSet
from mlgsearch.train.spec import DataSpec

PAGE = Path(__file__).parents[4] / "docs" / "study-file.md"


def read_stripes(spec: DataSpec) -> Arrays:
    """Read a kind of data set that only this test knows: bright and dark images."""
    labels = torch.arange(60) % 2
    pixels = (labels * 200).to(torch.uint8)[:, None, None, None].expand(60, 1, 6, 6).contiguous()
    if spec.root == "nowhere":
        raise DataError("data.root: nowhere holds no stripes")
    return Arrays(LabelledImages(pixels, labels, ("dark", "bright")))


@pytest.fixture
def stripes(monkeypatch: pytest.MonkeyPatch) -> None:
    line = DataSet(f"{__name__}:read_stripes", "crop", needs_root=True)
    monkeypatch.setitem(DATA_SETS, "stripes", line)


@pytest.mark.usefixtures("stripes")
def test_a_line_adds_a_kind(tmp_path: Path) -> None:
    spec = DataSpec(name="stripes", root="here", image_size=8, channels=3)
    images = load_images(spec, tmp_path)
    assert images.input_shape == (3, 8, 8)
    assert images.class_names == ("dark", "bright")
    assert len(images.train) + len(images.validation) + len(images.test) == 60
    assert Augmentation.of(spec) == Augmentation(4, flips=False)


@pytest.mark.usefixtures("stripes")
def test_what_the_line_says_is_held() -> None:
    with pytest.raises(ValidationError, match=r"data\.root is needed for stripes"):
        DataSpec(name="stripes")
    with pytest.raises(ValidationError, match=r"data\.train needs data\.name: folder"):
        DataSpec(name="stripes", root="here", train="a")


@pytest.mark.usefixtures("stripes")
def test_its_reader_complains_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no stripes"):
        load_images(DataSpec(name="stripes", root="nowhere"), tmp_path)


def test_an_unknown_name_lists_the_known_and_the_nearest() -> None:
    with pytest.raises(ValidationError) as caught:
        DataSpec(name="fodler", root="x")
    (line,) = validation_messages(caught.value, DataSpec, "a.yaml")
    assert line.startswith("a.yaml: name: expected 'digits', 'folder', ")
    assert line.endswith("'FashionMNIST' or 'module:callable', got 'fodler'; did you mean folder?")


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_kind_has_a_reader_and_is_on_the_page(name: str) -> None:
    module, _, function = DATA_SETS[name].reader.partition(":")
    assert callable(getattr(import_module(module), function))
    (row,) = [line for line in PAGE.read_text().splitlines() if line.startswith("| `data.name`")]
    assert f"`{name}`" in row

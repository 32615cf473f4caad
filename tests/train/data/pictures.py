"""Small folders of images for tests."""

from pathlib import Path

import numpy as np
from PIL import Image

from mlgsearch.train.data.decode import decode
from mlgsearch.train.data.images import Images, LabelledImages
from mlgsearch.train.data.load import load_images, look_of
from mlgsearch.train.data.sources.folder import list_folder
from mlgsearch.train.spec import DataSpec


def ramp(name: str, noise: np.random.Generator, side: int = 16) -> np.ndarray:
    """Draw brightness from 0 to 1 that rises along x, or along y for class ``b``; (side, side)."""
    along = np.tile(np.linspace(0, 1, side), (side, 1))
    values = along.T if name == "b" else along
    drawn: np.ndarray = np.clip(values + noise.normal(0, 0.05, values.shape), 0, 1)
    return drawn


def draw(root: Path, classes: str = "ab", count: int = 12, suffix: str = "png") -> Path:
    """Write ``count`` colour images of each class, all different; the same for the same path."""
    noise = np.random.default_rng(list(str(root).encode()))
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = (255 * ramp(name, noise)).astype(np.uint8)
            Image.fromarray(pixels).convert("RGB").save(root / name / f"{number}.{suffix}")
    return root


def draw_tree(root: Path, **counts: int) -> Path:
    """Write a tree of parts, of so many images per class."""
    for part, count in counts.items():
        draw(root / part, count=count)
    return root


def load_set(cache: Path, **keys: object) -> Images:
    """Load a data set by the keys of a study file."""
    return load_images(DataSpec.model_validate(keys), cache)


def sizes(found: Images) -> tuple[int, int, int]:
    """Return how many images are in each part."""
    return len(found.train), len(found.validation), len(found.test)


def load(root: Path, **options: object) -> LabelledImages:
    """Decode a folder, with the cache beside it."""
    spec = DataSpec.model_validate({"name": "folder", "root": str(root), **options})
    skips = spec.unreadable == "skip"
    cache = root.parent / "cache"
    return decode(list_folder(spec), look_of(spec), cache, skips_unreadable=skips)

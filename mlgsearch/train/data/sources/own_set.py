"""A map-style data set of torch that code of one's own makes, as `module:callable`."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from mlgsearch.errors import DataError
from mlgsearch.train.data.image_file import UNREADABLE, Content, content_bytes
from mlgsearch.train.data.sources.class_labels import index_labels
from mlgsearch.train.data.sources.listing import TRAIN, Listing
from mlgsearch.train.data.sources.part_files import PART_NAMES
from mlgsearch.train.own_code import OwnCodeError, call, described, load_callable, place_of
from mlgsearch.train.own_sources import sources_hash
from mlgsearch.train.spec import DataSpec

#: What an item that is a mapping calls its image and its label.
_IMAGE, _LABEL = ("image", "img"), ("label", "labels", "target")
#: Items whose content is looked at whenever a set is opened: a cache is not used when they change.
_LOOKED_AT = 8


def list_own(spec: DataSpec) -> Listing:
    """List the items of the data sets that ``module:callable`` returns.

    It is called with ``root`` where the study file says that, and returns one data set or a mapping
    of part to data set. An item is an image and its label: a Pillow image, an array (H, W) or
    (H, W, C), or a tensor (C, H, W); a whole number or a name. Labels are taken from ``targets`` or
    ``labels`` of a data set, else from its items, and class names from ``classes``.

    Raises:
        OwnCodeError: the code cannot be imported, raises, or returns anything else.
        DataError: items differ from one reading to the next, or the labels are no labels.
    """
    target = load_callable(spec.name, "data.name")
    named = {} if spec.root is None else {"root": spec.root}
    made = call(target, spec.name, "data.name", **named)
    parts = _parts(spec.name, made, place_of(target))
    sources = {part: _Source(spec.name, found) for part, found in parts.items()}
    labels = {part: source.labels() for part, source in sources.items()}
    names, indices = index_labels(f"data.name: {spec.name}", labels, sources[TRAIN].class_names)
    rows = [(source, row) for source in sources.values() for row in range(len(source))]
    code = sources_hash(spec.name, "data.name")
    looked_at = [source.look() for source in sources.values()]
    seen = hashlib.sha256(json.dumps([code, spec.root, looked_at]).encode()).hexdigest()
    counts = torch.tensor([len(source) for source in sources.values()])
    has_parts = isinstance(made, Mapping)

    def read(position: int) -> Content:
        source, row = rows[position]
        return source.image(row)

    part_of = torch.tensor(list(sources)).repeat_interleave(counts)
    return Listing(
        names=[
            f"{spec.name}: item {row}" + (f" of {number}" if has_parts else "")
            for (_, row), number in zip(rows, part_of.tolist(), strict=True)
        ],
        labels=indices,
        class_names=names,
        parts=part_of if has_parts else None,
        stamps=[(seen, row) for _, row in rows],
        read=read,
    )


def _parts(name: str, made: object, place: str) -> dict[int, Any]:
    found = {}
    for key, value in (made if isinstance(made, Mapping) else {"train": made}).items():
        number = next((n for n, words in enumerate(PART_NAMES) if key in words), None)
        if number is None:
            raise OwnCodeError(
                f"data.name: {name} returned a mapping with the key {key!r}; the parts are train, "
                f"validation and test{place}"
            )
        if not (hasattr(value, "__getitem__") and hasattr(value, "__len__")):
            kind = type(value).__name__
            raise OwnCodeError(
                f"data.name: {name} must return a map-style data set, with __len__ and "
                f"__getitem__, or one for each part; it returned {kind}{place}"
            )
        found[number] = value
    if TRAIN not in found:
        raise OwnCodeError(f"data.name: {name} returned no data set for training{place}")
    return dict(sorted(found.items()))


class _Source:
    """One data set, whose items are read as image and label."""

    def __init__(self, name: str, items: Any) -> None:
        self._name = name
        self._items = items
        self._count: int = self._own(lambda: len(items))
        names = getattr(items, "classes", None)
        is_named = isinstance(names, Sequence) and all(isinstance(n, str) for n in names)
        self.class_names: Sequence[str] | None = list(names) if names and is_named else None

    def __len__(self) -> int:
        return self._count

    def labels(self) -> np.ndarray:
        """Return the labels, (N,)."""
        known = known_labels(self._items)
        if known is None or len(known) != len(self):
            known = [self._label(row) for row in range(len(self))]
        return np.asarray([_plain(label) for label in known])

    def _label(self, row: int) -> Any:
        try:
            return self._item(row)[1]
        except UNREADABLE as error:
            raise OwnCodeError(
                f"data.name: {self._name}: item {row} cannot be read for its label: "
                f"{described(error)}; give the data set a list `targets`"
            ) from error

    def image(self, row: int) -> Content:
        """Return an item's image in a form that can be brought to pixels."""
        image = self._item(row)[0]
        if isinstance(image, Tensor):
            array = image.detach().cpu().numpy()
            return array.transpose(1, 2, 0) if array.ndim == 3 else array
        if isinstance(image, Image.Image | bytes):
            return image
        if isinstance(image, np.ndarray):
            is_first = image.ndim == 3 and image.shape[2] > 4 and image.shape[0] <= 4
            return image.transpose(1, 2, 0) if is_first else image
        raise OwnCodeError(
            f"data.name: {self._name}: the image of item {row} is of type {type(image).__name__}; "
            "return a Pillow image, an array or a tensor"
        )

    def look(self) -> list[str]:
        """Return hashes of some items, spread over the set.

        Raises:
            DataError: reading an item again gives another image.
        """
        rows = np.unique(np.linspace(0, len(self) - 1, min(_LOOKED_AT, len(self))).astype(int))
        found = [self._digest(row) for row in rows.tolist()]
        again = [self._digest(row) for row in rows.tolist()]
        if found != again:
            raise DataError(
                f"data.name: {self._name}: an item's image is another each time it is read; take "
                "random transforms out: data.augmentation does that, the same in every trial"
            )
        return found

    def _digest(self, row: int) -> str:
        try:
            content = self.image(row)
        except UNREADABLE as error:
            return type(error).__name__
        return hashlib.sha256(content_bytes(content)).hexdigest()

    def _item(self, row: int) -> tuple[Any, Any]:
        item = self._own(lambda: self._items[row])
        if isinstance(item, Mapping):
            image = next((item[key] for key in _IMAGE if key in item), None)
            label = next((item[key] for key in _LABEL if key in item), None)
            if image is not None and label is not None:
                return image, label
        elif isinstance(item, tuple | list) and len(item) >= 2:
            return item[0], item[1]
        raise OwnCodeError(
            f"data.name: {self._name}: item {row} must be an image and its label, it is "
            f"{type(item).__name__}"
        )

    def _own(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except UNREADABLE:  # what data.unreadable is for
            raise
        except Exception as error:  # code of one's own may raise anything
            place = place_of(type(self._items).__getitem__)
            raise OwnCodeError(f"data.name: {self._name}: {described(error, place)}") from error


def known_labels(items: Any) -> Sequence[Any] | None:
    """Return a data set's labels where it has them without its items being read."""
    if isinstance(items, Subset):
        inner = known_labels(items.dataset)
        return None if inner is None else [inner[int(index)] for index in items.indices]
    if isinstance(items, ConcatDataset):
        parts = [known_labels(part) for part in items.datasets]
        known = [labels for labels in parts if labels is not None]
        return [label for labels in known for label in labels] if len(known) == len(parts) else None
    if isinstance(items, TensorDataset):
        return list(items.tensors[1]) if len(items.tensors) > 1 else None
    for name in ("targets", "labels"):
        found = getattr(items, name, None)
        if isinstance(found, Sequence | np.ndarray | Tensor):
            return list(found)
    return None


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, Tensor | np.generic) else label

"""The kinds of data sets by name: what a study file may say of each, and what reads it.

A further kind is a function in a module of `mlgsearch.train.data` and a line in ``DATA_SETS``.
"""

from dataclasses import dataclass
from typing import Any, Literal

from mlgsearch.named import named

AugmentationName = Literal["none", "crop", "crop_flip"]


@dataclass(frozen=True)
class DataSet:
    """A kind of data set.

    ``reader`` is a function as ``module:function``, imported when a set is read: it takes the
    `DataSpec` and returns a `Listing` of encoded images, which are then decoded into the cache, or
    `Arrays` of pixels. ``augmentation`` is what ``auto`` means. ``needs_root``: a study file
    must say where the data are. ``has_part_folders``: it may name ``train``, ``validation`` and
    ``test``, each a folder or a file.
    """

    reader: str
    augmentation: AugmentationName = "crop_flip"
    needs_root: bool = True
    has_part_folders: bool = False

    def read(self, spec: Any) -> Any:
        """Import the reader and return what it makes of a `DataSpec`.

        Raises:
            DataError: the data are missing or damaged.
        """
        return named(self.reader)(spec)


_TORCHVISION = "mlgsearch.train.data.sources.torchvision_sets:read_torchvision"

#: Every kind, in the order in which messages list them.
DATA_SETS: dict[str, DataSet] = {
    "digits": DataSet("mlgsearch.train.data.sources.digits:read_digits", "none", needs_root=False),
    "folder": DataSet("mlgsearch.train.data.sources.folder:list_folder", has_part_folders=True),
    "npz": DataSet("mlgsearch.train.data.sources.npz:list_npz", has_part_folders=True),
    "parquet": DataSet("mlgsearch.train.data.sources.parquet:list_parquet", has_part_folders=True),
    "webdataset": DataSet(
        "mlgsearch.train.data.sources.webdataset:list_webdataset", has_part_folders=True
    ),
    "CIFAR10": DataSet(_TORCHVISION),
    "CIFAR100": DataSet(_TORCHVISION),
    "SVHN": DataSet(_TORCHVISION, "crop"),
    "MNIST": DataSet(_TORCHVISION, "none"),
    "FashionMNIST": DataSet(_TORCHVISION, "none"),
}

#: A data set that code of one's own makes, named as ``module:callable``.
OWN = DataSet("mlgsearch.train.data.sources.own_set:list_own", needs_root=False)

"""A compressed network in memory, and its files."""

from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import nn

from mlgsearch.api.frames import frame
from mlgsearch.mlg.compress import densify
from mlgsearch.mlg.network import NetworkShape, network_shape, network_sizes
from mlgsearch.mlg.packing.packed import settings_of
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import FIVE_NAMES, ExportFormat, Sizes
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import packed_size
from mlgsearch.train.files.size_report import layer_kind
from mlgsearch.train.files.student_file import at_norm_bits, require_free, write_student

if TYPE_CHECKING:
    from pandas import DataFrame


class Student:
    """A network whose weights are small low-bit factors.

    ``network`` is an ordinary ``nn.Module``: train it, evaluate it, move it to a device. Its state
    can be saved, the module itself cannot be pickled. ``card`` is what a packed file says of it.
    ``projection_error`` is each layer's relative error ||W - W_hat|| / ||W|| right after it was
    compressed; empty for a student that was trained elsewhere.
    """

    def __init__(
        self,
        network: nn.Module,
        card: PackedCard,
        projection_error: Mapping[str, float] | None = None,
    ) -> None:
        self.network = network
        self.card = card
        self.projection_error: Mapping[str, float] = projection_error or {}

    @cached_property
    def settings(self) -> dict[str, LayerSetting]:
        """Every layer's setting in its canonical form, by name, in the network's order."""
        return settings_of(self.network)

    @property
    def sizes(self) -> Sizes:
        """What the paper counts: parameters, bits, their ratios, and multiply-accumulates."""
        return network_sizes(self._shape, self.settings, self.card.norm_bits)

    @property
    def packed_bytes(self) -> int:
        """The exact size of the packed file; it does not depend on the numbers in it."""
        return packed_size(self.network, self.card)

    def layers(self) -> "DataFrame":
        """Return a row per layer: its kind, setting, bits, and error when it was compressed."""
        rows = []
        for name, setting in self.settings.items():
            shape = self._shape.layers[name]
            rows.append(
                {
                    "layer": name,
                    "kind": layer_kind(shape),
                    "weights": shape.weight_numel,
                    **dict(zip(FIVE_NAMES, setting.five, strict=True)),
                    "bits": setting.bits(shape),
                    "projection_error": self.projection_error.get(name),
                }
            )
        return frame(rows, index="layer")

    def export(
        self,
        path: str | Path,
        format: ExportFormat = "packed",
        *,
        replace: bool = False,
        norm_bits: Literal[8] | None = None,
    ) -> int:
        """Write a file and return its size in bytes; the student stays as it is.

        Args:
            path: the file; for ``c`` a folder.
            format: ``packed`` (docs/packed.md), ``coded`` (the same in fewer bytes), ``onnx`` with
                the same codes (docs/onnx.md), ``dense`` or ``dense_onnx`` with the plain float32
                network, or ``c`` (docs/c.md).
            replace: whether a file that exists is replaced.
            norm_bits: 8 rounds batch-norm's scales and shifts to 8 bits, in ``packed`` and
                ``coded`` files: fewer bytes, slightly other outputs.

        Raises:
            UserError: the path is taken or cannot be written, or the format cannot hold the
                network.
            DataError: the network holds a number that is not finite.
        """
        path = Path(path)
        require_free(path, format, may_replace=replace, how="pass replace=True")
        network = self.network
        device = next(network.parameters()).device
        if network.training or device.type != "cpu":
            network = deepcopy(network).to("cpu").eval()
        return write_student(format, path, network, at_norm_bits(self.card, format, norm_bits))

    @cached_property
    def _shape(self) -> NetworkShape:
        plain = densify(self.network, keeps_input_quantisers=False)
        return network_shape(plain, self.card.input_shape)

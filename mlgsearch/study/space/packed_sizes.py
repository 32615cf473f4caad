"""The exact size of a student's packed file and of its activations, before any training."""

from collections.abc import Mapping
from functools import cached_property

from torch import nn

from mlgsearch.mlg.activations import Activations, trace_activations
from mlgsearch.mlg.input_quantiser import bits_by_layer
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import packed_size
from mlgsearch.train.light_torch import without_compiler
from mlgsearch.train.networks.models import network_without_memory
from mlgsearch.train.spec import QuantisationSpec, TrainSpec


class PackedSizes:
    """Counts the packed files of one network's students, and the activations of a forward pass.

    Args of the constructor:
        spec: names the network.
        classes: how many.
        input_shape: (channels, height, width) of an image.
    """

    def __init__(self, spec: TrainSpec, classes: int, input_shape: tuple[int, int, int]) -> None:
        self._model = spec.model
        self._classes = classes
        self._input_shape = input_shape

    @cached_property
    def _network(self) -> nn.Module:
        return network_without_memory(self._model, self._classes, self._input_shape)

    @cached_property
    def activations(self) -> Activations:
        """What a forward pass of one image keeps, step by step."""
        with without_compiler():
            return trace_activations(self._network, self._input_shape)

    def peak_activation_bytes(
        self, settings: Mapping[str, LayerSetting], quantisation: QuantisationSpec
    ) -> int:
        """Return the most bytes of activations that a student holds at once, for one image.

        Inputs are quantised in compressed layers only. Arguments as `bytes_of`.
        """
        return self.activations.peak_bytes(input_bits(settings, quantisation))

    def bytes_of(self, settings: Mapping[str, LayerSetting], quantisation: QuantisationSpec) -> int:
        """Return the bytes of a student's packed file.

        Args:
            settings: canonical, of every layer, in the network's order.
            quantisation: of the student's own training.
        """
        card = PackedCard.of(self._model, self._classes, self._input_shape, settings, quantisation)
        return packed_size(self._network, card)


def input_bits(
    settings: Mapping[str, LayerSetting], quantisation: QuantisationSpec
) -> dict[str, int]:
    """Return by layer the bits of its inputs, of canonical settings; 32 where it has no factors."""
    bits = bits_by_layer(quantisation.in_bits, settings)
    return {
        name: 32 if setting == LayerSetting.plain(32) else bits[name]
        for name, setting in settings.items()
    }

"""Students that are timed: of the right shape and form, but with random weights."""

from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property

import torch
from torch import nn

from mlgsearch.mlg.factoring.parametrization import latents_of
from mlgsearch.mlg.input_quantiser import InputQuantiser
from mlgsearch.mlg.kinds import compressible_layers, is_compressed
from mlgsearch.mlg.network import NetworkShape, network_shape
from mlgsearch.mlg.quantise import Method
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.spec import ModelSpec, QuantisationSpec
from mlgsearch.train.student.student import compress_as

#: Time depends neither on how numbers are rounded nor on how they were found.
METHOD: Method = "dorefa"


class Students:
    """Makes students of one network in eval mode.

    Args of the constructor:
        model: names the network.
        network: plain; it is left as it is.
        classes: how many.
        input_shape: (channels, height, width) of an image.
        quantisation: whose bits of inputs and of normalisation they have.
    """

    def __init__(
        self,
        model: ModelSpec,
        network: nn.Module,
        classes: int,
        input_shape: tuple[int, int, int],
        quantisation: QuantisationSpec,
    ) -> None:
        self.input_shape = input_shape
        self._model, self._network, self._classes = model, network, classes
        self._quantisation = quantisation.model_copy(update={"method": METHOD})

    @cached_property
    def shape(self) -> NetworkShape:
        """The network's shape."""
        return network_shape(self._network, self.input_shape)

    @torch.no_grad()
    def student(self, settings: Mapping[str, LayerSetting]) -> nn.Module:
        """Make the student of canonical settings of every layer."""
        network = deepcopy(self._network)
        compress_as(network, settings, self._quantisation, projects=False)
        for layer in compressible_layers(network).values():
            if is_compressed(layer.module, layer.parameter):
                for latent in latents_of(layer.module, layer.parameter):
                    latent.normal_(std=0.1)
        for module in network.modules():
            if isinstance(module, InputQuantiser):  # one that has seen nothing takes no time
                module.scale.fill_(4 / 2**module.bits)
                module.zero_point.fill_(2 ** (module.bits - 1))
        return network.eval()

    def card(self, settings: Mapping[str, LayerSetting]) -> PackedCard:
        """Describe a student for its files."""
        return PackedCard.of(
            self._model, self._classes, self.input_shape, settings, self._quantisation
        )

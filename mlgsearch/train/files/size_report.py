"""What a network costs at a setting, before any training."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlgsearch.mlg.half_norm import NormBits
from mlgsearch.mlg.network import NetworkShape, network_shape, network_sizes
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import FiveNumbers, Sizes
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import packed_size
from mlgsearch.train.light_torch import without_compiler
from mlgsearch.train.networks.models import network_without_memory
from mlgsearch.train.spec import ModelSpec, QuantisationSpec


@dataclass(frozen=True)
class SizeReport:
    """A network's layers, their canonical settings, and what they cost together.

    ``packed_bytes`` is the exact size of the packed file, quantised by a study's default method.
    """

    shape: NetworkShape
    settings: Mapping[str, LayerSetting]
    sizes: Sizes
    packed_bytes: int


def size_report(
    model: ModelSpec,
    five: FiveNumbers,
    *,
    norm_bits: NormBits = 32,
    classes: int,
    channels: int,
    image_size: tuple[int, int],
) -> SizeReport:
    """Count a network at the paper's uniform setting, without memory for it where that can be.

    Raises:
        UserError: the network is unknown, or does not take such images.
        SettingError: the five numbers are malformed.
    """
    LayerSetting.from_five(five)
    input_shape = (channels, *image_size)
    with without_compiler():
        network = network_without_memory(model, classes, input_shape)
        shape = network_shape(network, input_shape)
    settings = uniform_settings(shape, five)
    quantisation = QuantisationSpec(norm_bits=norm_bits)
    card = PackedCard.of(model, classes, input_shape, settings, quantisation)
    sizes = network_sizes(shape, settings, norm_bits)
    return SizeReport(shape, settings, sizes, packed_size(network, card))


def layer_kind(shape: LayerShape) -> str:
    """Return what a layer is in a word or two."""
    if not shape.is_convolution:
        return shape.kind
    kernel = "x".join(map(str, shape.kernel))
    kind = "transposed conv" if shape.is_transposed else "conv"
    if shape.is_depthwise:
        return f"{'transposed ' if shape.is_transposed else ''}depthwise {kernel}"
    return f"{'grouped ' if shape.groups > 1 else ''}{kind} {kernel}"

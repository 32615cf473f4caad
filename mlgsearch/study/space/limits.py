"""What every proposal must keep, of what is known before training."""

from collections.abc import Mapping

from mlgsearch.mlg.network import NetworkShape, network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.study.file.spec import LATENCY
from mlgsearch.study.space.latency_table import LatencyTable
from mlgsearch.study.space.packed_sizes import PackedSizes
from mlgsearch.train.spec import QuantisationSpec

PACKED_BYTES = "packed_bytes"
PEAK_BYTES = "peak_activation_bytes"


class Limits:
    """The study file's ``limits``.

    Args of the constructor:
        limits: the most of each objective.
        shape: the network's shape.
        packed: counts packed files and activations; None only where neither ``packed_bytes`` nor
            ``peak_activation_bytes`` has a limit.
        latency: predicts latency; None only where ``latency_ms`` has no limit.
    """

    def __init__(
        self,
        limits: Mapping[str, float],
        shape: NetworkShape,
        packed: PackedSizes | None,
        latency: LatencyTable | None = None,
    ) -> None:
        assert packed is not None or not {PACKED_BYTES, PEAK_BYTES} & limits.keys()
        assert latency is not None or LATENCY not in limits
        self._latency = latency
        self.limits = limits
        self._shape = shape
        self._packed = packed

    def values(
        self, settings: Mapping[str, LayerSetting], quantisation: QuantisationSpec
    ) -> dict[str, float]:
        """Return what a student would have of everything that has a limit."""
        sizes = network_sizes(self._shape, settings, norm_bits=quantisation.norm_bits)
        found: dict[str, float] = {}
        for name in self.limits:
            if name == PACKED_BYTES:
                assert self._packed is not None
                found[name] = self._packed.bytes_of(settings, quantisation)
            elif name == PEAK_BYTES:
                assert self._packed is not None
                found[name] = self._packed.peak_activation_bytes(settings, quantisation)
            elif name == LATENCY:
                assert self._latency is not None
                found[name] = self._latency.network_ms(settings)
            else:
                found[name] = getattr(sizes, name)
        return found

    def broken(
        self, settings: Mapping[str, LayerSetting], quantisation: QuantisationSpec
    ) -> dict[str, float]:
        """Return what of `values` is above its limit."""
        found = self.values(settings, quantisation)
        return {name: value for name, value in found.items() if value > self.limits[name]}

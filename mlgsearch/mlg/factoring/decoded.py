"""A weight generated from values that were quantised before; nothing is rounded or trained."""

from collections.abc import Mapping

from torch import Tensor

from mlgsearch.errors import SettingError
from mlgsearch.mlg.factoring.parametrization import Mlg
from mlgsearch.mlg.quantise import Quantiser
from mlgsearch.mlg.setting import LayerSetting, LayerShape


class DecodedMlg(Mlg):
    """``Mlg`` whose trained tensors are the factors themselves, given at construction.

    Registering it does not project: the weight that the layer had is dropped.

    Raises:
        SettingError: the setting is not canonical for the shape.
    """

    def __init__(
        self, setting: LayerSetting, shape: LayerShape, values: Mapping[str, Tensor]
    ) -> None:
        super().__init__(setting, shape)
        for name in self.names:
            self.quantisers[name] = Quantiser(self._quantiser(name).bits)
        self._values: tuple[Tensor, ...] | None = tuple(values[name] for name in self.names)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Return the factors, once.

        Raises:
            SettingError: the layer has its factors already: an assigned weight cannot be kept.
        """
        if self._values is None:
            raise SettingError("a packed layer's weight is fixed: it cannot be assigned")
        values, self._values = self._values, None
        return values

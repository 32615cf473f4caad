"""Modules that read a compressed weight several times per call: it is generated once.

Their class is set on an existing module, as in ``layer``.
"""

from typing import Any

from torch import nn
from torch.nn.utils import parametrize


class MlgMultiheadAttention(nn.MultiheadAttention):
    """``MultiheadAttention`` of compressed weights."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Attend as torch does."""
        with parametrize.cached():
            return super().forward(*args, **kwargs)


class _Recurrent(nn.RNNBase):
    """What the twins of torch's recurrent modules have in common.

    Torch keeps the weights in a list of its own. Here that list is filled for one call only: what
    is generated belongs to one graph, and cannot be copied.
    """

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run over a sequence as torch does."""
        with parametrize.cached():
            self._flat_weights = [getattr(self, name) for name in self._flat_weights_names]
            try:
                return super().forward(*args, **kwargs)
            finally:
                self._init_flat_weights()

    def _update_flat_weights(self) -> None:
        """Do nothing: `forward` has filled the list."""

    def _init_flat_weights(self) -> None:
        self._flat_weights = [None for _ in self._flat_weights_names]
        self._flat_weight_refs = []


class MlgRnn(_Recurrent, nn.RNN):
    """``RNN`` of compressed weights."""


class MlgLstm(_Recurrent, nn.LSTM):
    """``LSTM`` of compressed weights."""


class MlgGru(_Recurrent, nn.GRU):
    """``GRU`` of compressed weights."""


#: The class that takes over from each plain class.
COMPOSITES: dict[type[nn.Module], type[nn.Module]] = {
    nn.MultiheadAttention: MlgMultiheadAttention,
    nn.RNN: MlgRnn,
    nn.LSTM: MlgLstm,
    nn.GRU: MlgGru,
}

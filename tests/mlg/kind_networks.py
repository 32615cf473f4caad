"""A small network around each kind of layer, for the suites that all kinds pass."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

#: (C, H, W) of an image.
IMAGE = (3, 8, 8)


class Around(nn.Module):
    """A module between an entry that prepares its input and a head of four classes."""

    def __init__(self, module: nn.Module, features: int, enter: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.kind = module
        self.norm = nn.LayerNorm(features)
        self.head = nn.Linear(features, 4)
        self.enter = enter

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        out = self.kind(*entered) if isinstance(entered, tuple) else self.kind(entered)
        out = out[0] if isinstance(out, tuple) else out
        features = self.norm.normalized_shape[0]
        at = out.shape[1:].index(features) + 1 if features in out.shape[1:] else -1
        logits: Tensor = self.head(self.norm(out.movedim(at, -1).flatten(1, -2).mean(1)))
        return logits


def _tokens(x: Tensor) -> Tensor:
    return x.flatten(1, 2)  # (N, 24, 8)


def _film(x: Tensor) -> Tensor:
    return x[:, :, None].expand(-1, -1, 4, -1, -1)  # (N, 3, 4, 8, 8)


def _words(x: Tensor) -> Tensor:
    return (x.flatten(1) * 3).round().clamp(0, 19).long()  # (N, 192), 0 to 19


class Tied(nn.Module):
    """One weight in two convolutions, and once more in a linear layer of another look."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 3, 3, padding=1, stride=2)
        self.second.weight = self.first.weight
        self.words = nn.Embedding(20, 12)
        self.back = nn.Linear(12, 20, bias=False)
        self.back.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        seen = self.second(self.first(x).relu())  # (N, 3, 4, 4)
        hidden = self.words(_words(seen)) * seen.flatten(1)[..., None]  # (N, 48, 12)
        out: Tensor = self.back(hidden)
        return out


#: By name: how to make it, and the layers that it must have beside the head.
KIND_NETWORKS: dict[str, tuple[Callable[[], nn.Module], set[str]]] = {
    "conv1d": (lambda: Around(nn.Conv1d(24, 12, 3, 2, 1), 12, _tokens), {"kind"}),
    "conv2d": (lambda: Around(nn.Conv2d(3, 16, 3, padding=1), 16, lambda x: x), {"kind"}),
    "conv3d": (
        lambda: Around(nn.Conv3d(3, 10, 2, stride=2), 10, _film),
        {"kind"},
    ),
    "grouped": (
        lambda: Around(nn.Conv1d(24, 12, 3, groups=2), 12, _tokens),
        {"kind"},
    ),
    "transposed1d": (lambda: Around(nn.ConvTranspose1d(24, 12, 4, 2), 12, _tokens), {"kind"}),
    "transposed2d": (lambda: Around(nn.ConvTranspose2d(3, 16, 4, 2, 1), 16, lambda x: x), {"kind"}),
    "transposed_groups": (
        lambda: Around(nn.ConvTranspose1d(24, 12, 4, 2, groups=3), 12, _tokens),
        {"kind"},
    ),
    "linear": (lambda: Around(nn.Linear(8, 14), 14, _tokens), {"kind"}),
    "embedding": (lambda: Around(nn.Embedding(20, 14), 14, _words), {"kind"}),
    "attention": (
        lambda: Around(
            nn.MultiheadAttention(8, 2, batch_first=True), 8, lambda x: (_tokens(x),) * 3
        ),
        {"kind.in_proj_weight", "kind.out_proj"},
    ),
    "attention_apart": (
        lambda: Around(
            nn.MultiheadAttention(8, 2, kdim=24, vdim=24, batch_first=True),
            8,
            lambda x: (_tokens(x), _tokens(x).mT, _tokens(x).mT),
        ),
        {"kind.q_proj_weight", "kind.k_proj_weight", "kind.v_proj_weight", "kind.out_proj"},
    ),
    "transformer": (
        lambda: Around(
            nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), 8, _tokens
        ),
        {
            f"kind.{part}"
            for part in ("self_attn.in_proj_weight", "self_attn.out_proj", "linear1", "linear2")
        },
    ),
    "lstm": (
        lambda: Around(nn.LSTM(8, 6, batch_first=True, bidirectional=True), 12, _tokens),
        {f"kind.weight_{of}_l0{end}" for of in ("ih", "hh") for end in ("", "_reverse")},
    ),
    "gru": (
        lambda: Around(nn.GRU(8, 6, 2, batch_first=True), 6, _tokens),
        {f"kind.weight_{of}_l{at}" for of in ("ih", "hh") for at in (0, 1)},
    ),
    "rnn": (
        lambda: Around(nn.RNN(8, 6, batch_first=True), 6, _tokens),
        {"kind.weight_ih_l0", "kind.weight_hh_l0"},
    ),
    "tied": (lambda: Around(Tied(), 20, lambda x: x), {"kind.first", "kind.words"}),
}


def kind_network(kind: str) -> nn.Module:
    """Return the network of a kind, from seed 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return KIND_NETWORKS[kind][0]()

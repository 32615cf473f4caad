"""An independent measurement of activations: a real pass, with every storage that is held counted.

The network runs node by node under ``torch.fx``'s interpreter, which drops a value once its last
reader has run. Normalisation, nonlinearities and sums really write over an operand that nothing
reads afterwards.
"""

import operator
from collections.abc import Mapping
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn
from torch.nn import functional

_NORMS = nn.BatchNorm2d
_NONLINEAR = (nn.ReLU, nn.ReLU6, nn.GELU, nn.Dropout)
_FUNCTIONS = (functional.relu, functional.gelu, functional.dropout)
_SUMS = (operator.add, operator.iadd, torch.add)
_VIEWS = (torch.flatten, "flatten", "view")
_LAYERS = (nn.Conv2d, nn.Linear)


class _Held(torch.fx.Interpreter):
    """Runs a graph and notes, after each node, the bytes of all storages that are held."""

    def __init__(self, graph: torch.fx.GraphModule, in_bits: Mapping[str, int]) -> None:
        super().__init__(graph)
        self._in_bits = in_bits
        self._bits: dict[int, int] = {}
        self.most = 0.0

    def _dies(self, node: torch.fx.Node) -> list[torch.fx.Node]:
        return self.user_to_last_uses.get(node, [])

    def run_node(self, n: torch.fx.Node) -> Any:
        if n.op in ("get_attr", "output"):
            return super().run_node(n)
        result = self._in_place(n)
        if result is None:
            result = super().run_node(n)
        if isinstance(result, Tensor):
            held = {_key(t): t for t in self.env.values() if isinstance(t, Tensor)}
            before = self._bits[_key(result)] if _key(result) in held else 0
            self._bits[_key(result)] = max(before, self._read_at(n))
            held[_key(result)] = result
            self.most = max(self.most, sum(self._bytes(t) for t in held.values()))
        return result

    def _in_place(self, n: torch.fx.Node) -> Tensor | None:
        """Write over an operand that dies here, where the node works number by number."""
        if not _is_by_number(self.module, n):
            return None
        args = [arg for arg in n.args if isinstance(arg, torch.fx.Node)]
        place = next((arg for arg in args if arg in self._dies(n)), None)
        if place is None:
            return None
        held: Tensor = self.env[place]
        result = super().run_node(n)
        if result.shape != held.shape or held.data_ptr() == result.data_ptr():
            return None if result.shape != held.shape else result
        return held.copy_(result)

    def _bytes(self, tensor: Tensor) -> float:
        return tensor.untyped_storage().nbytes() * self._bits[_key(tensor)] / 32

    def _read_at(self, n: torch.fx.Node) -> int:
        """Return the bits that the readers of a node's value take it at."""
        bits = [0]
        for user in n.users:
            module = self.submodules.get(str(user.target)) if user.op == "call_module" else None
            is_one_operand = len([a for a in user.args if isinstance(a, torch.fx.Node)]) == 1
            if isinstance(module, _LAYERS):
                bits.append(self._in_bits.get(str(user.target), 32))
            elif user.target in _VIEWS or (
                is_one_operand and _is_by_number(self.module, user) and n in self._dies(user)
            ):
                bits.append(self._read_at(user))
            else:
                bits.append(32)
        return max(bits)


def _is_by_number(graph: Any, n: torch.fx.Node) -> bool:
    if n.op == "call_module":
        return isinstance(graph.get_submodule(str(n.target)), (_NORMS, *_NONLINEAR))
    return n.target in (*_FUNCTIONS, *_SUMS)


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@torch.no_grad()
def live_bytes(
    network: nn.Module, input_shape: tuple[int, int, int], in_bits: Mapping[str, int]
) -> float:
    """Return the most bytes that are held at once while a network computes one image."""
    held = _Held(torch.fx.symbolic_trace(network.eval()), in_bits)
    held.run(torch.rand(1, *input_shape))
    return held.most

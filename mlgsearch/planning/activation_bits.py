"""Bits of activations, layer by layer, so that the most alive at once keeps a limit."""

from collections.abc import Iterable, Mapping, Sequence

from mlgsearch.errors import BudgetError
from mlgsearch.mlg.activations import Activations, Value
from mlgsearch.mlg.input_quantiser import InBits
from mlgsearch.planning.input_noise import Noise

#: How many layers a message names.
_NAMED = 3


class ActivationPlan:
    """Chooses the bits of every layer's inputs, so that the summed noise is least.

    Weights play no part: noise and damage of weights add up, and they share no limit.

    Args of the constructor:
        activations: of the network.
        noise: of each layer at each choice; layers that it lacks have none.
        choices: the numbers of bits.
        names: the network's layers, in order.
        whole: layers whose inputs are not quantised, as their weights are not.
    """

    def __init__(
        self,
        activations: Activations,
        noise: Noise,
        choices: Sequence[InBits],
        names: Sequence[str],
        whole: Iterable[str] = (),
    ) -> None:
        self.activations = activations
        self._noise = noise
        self._choices = sorted(choices)
        self._whole = frozenset(whole)
        self.names = list(names)
        self._known: dict[int, dict[str, InBits]] = {}

    @property
    def smallest(self) -> int:
        """The peak with the fewest bits everywhere, in bytes."""
        return self.activations.peak_bytes(self._all(self._choices[0]))

    @property
    def largest(self) -> int:
        """The peak with the most bits everywhere, in bytes."""
        return self.activations.peak_bytes(self._all(self._choices[-1]))

    def choose(self, most_bytes: int) -> dict[str, InBits]:
        """Return the bits of each layer's inputs, in the network's order.

        From the most bits everywhere, what is alive at the peak loses bits, those first that cost
        the least noise for each byte, until the peak keeps the limit; then single layers get back
        what the limit leaves.

        Raises:
            BudgetError: not even the fewest bits keep it.
        """
        if most_bytes not in self._known:
            self._known[most_bytes] = self._raised(self._lowered(most_bytes), most_bytes)
        return self._known[most_bytes]

    def _all(self, bits: InBits) -> dict[str, InBits]:
        return {name: 32 if name in self._whole else bits for name in self.names}

    def _of(self, name: str, bits: int) -> float:
        return self._noise.get(name, {}).get(bits, 0.0)

    def _lowered(self, most_bytes: int) -> dict[str, InBits]:
        bits = self._all(self._choices[-1])
        while True:
            steps = self.activations.bytes_by_step(bits)
            peak = max(range(len(steps)), key=steps.__getitem__)
            if steps[peak] <= most_bytes:
                return bits
            best: dict[str, InBits] | None = None
            least = float("inf")
            for value in self._alive(peak):
                for fewer in self._choices:
                    changed = self._with_fewer(bits, value, fewer)
                    saved = value.size(bits) - value.size(changed)
                    if saved > 0:
                        more = sum(
                            self._of(name, changed[name]) - self._of(name, bits[name])
                            for name in value.layers
                        )
                        if more / saved < least:
                            best, least = changed, more / saved
            if best is None:
                raise BudgetError(
                    f"peak_activation_bytes cannot be {most_bytes:,}: the smallest in range is "
                    f"{self.smallest:,}; {binding_layers(self.activations.binding(bits))}"
                )
            bits = best

    def _alive(self, step: int) -> list[Value]:
        """Return what is alive at a step and may have fewer bits."""
        values = self.activations.values
        found = [value for value in values if value.first <= step <= value.last]
        found += [values[v.replaced] for v in found if v.replaced is not None and v.first == step]
        return [value for value in found if value.layers and not value.is_read_whole]

    def _with_fewer(
        self, bits: Mapping[str, InBits], value: Value, fewer: InBits
    ) -> dict[str, InBits]:
        lowered = {
            name: fewer for name in value.layers if name not in self._whole and bits[name] > fewer
        }
        return {**bits, **lowered}

    def _raised(self, bits: dict[str, InBits], most_bytes: int) -> dict[str, InBits]:
        """Raise bits where the limit leaves room, the largest saving of noise first."""
        wishes = sorted(
            (self._of(name, more) - self._of(name, bits[name]), -more, more, name)
            for name in self._noise
            for more in self._choices
            if name not in self._whole and more > bits[name]
        )
        for _, _, more, name in wishes:
            changed = {**bits, name: more}
            if more > bits[name] and self.activations.peak_bytes(changed) <= most_bytes:
                bits = changed
        return bits


def binding_layers(names: Sequence[str]) -> str:
    """Return a text that names the layers that bind, those that do most first."""
    return f"the layers that bind are {', '.join(names[:_NAMED])}"

"""Prices of what is limited, so that a knapsack of bits keeps the limits too (Lagrange)."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mlgsearch.planning.budget.resources import Resource

#: Each layer's option, and normalisation's.
Picks = tuple[dict[str, int], int]

#: The best picks at prices of the resources.
Priced = Callable[[Sequence[float]], Picks]

#: Limits are priced one after another, so often; a price is halved so often between two, and may
#: be so many times what makes a limit weigh as much as all damage.
_ROUNDS = 4
_HALVINGS = 12
_HIGHEST = 1e6

#: Then all prices move at once, so often: by the power of how far each limit is broken.
_STEPS = 40
_POWER = 1.5


class OutOfReachError(Exception):
    """A limit is broken even where nothing else counts; ``picks`` use the least that was found."""

    def __init__(self, resource: Resource, picks: Mapping[str, int]) -> None:
        super().__init__(resource.name)
        self.resource, self.picks = resource, picks


def kept(picks: Mapping[str, int], resources: Sequence[Resource]) -> bool:
    """Return whether picks keep every limit."""
    return all(resource.used(picks) <= resource.most for resource in resources)


def kept_picks(priced: Priced, resources: Sequence[Resource], damage: float) -> Iterator[Picks]:
    """Yield picks that keep every limit, or break some by little: `repaired` looks at these.

    The limit that is broken most is given the lowest price at which it is kept, the others' prices
    held, until all are. With several limits all prices then move at once: up where a limit is
    broken, down where it has room.

    Args:
        priced: returns the best picks within the budget at prices for a unit of each resource.
        resources: what is limited, one at least.
        damage: of all layers at their worst: it says what a high price is.

    Raises:
        OutOfReachError: within the budget a limit cannot be kept at any price.
    """
    scales = [damage / max(_span(resource), 1e-30) for resource in resources]
    prices = [0.0] * len(resources)
    found = priced(prices)
    for _ in range(_ROUNDS * len(resources)):
        worst = max(range(len(resources)), key=lambda i: _over(resources[i], found[0]))
        if _over(resources[worst], found[0]) <= 1:
            yield found
            break
        found = _price(priced, resources[worst], prices, worst, scales[worst])
    if len(resources) < 2 or not any(prices):
        return
    for step in range(_STEPS):
        power = _POWER / (1 + 0.1 * step)
        for i, resource in enumerate(resources):
            over = min(max(_over(resource, found[0]), 0.25), 4.0)
            if over > 1 and not prices[i]:
                prices[i] = 0.01 * scales[i]
            prices[i] *= over**power
        found = priced(prices)
        yield found


def repaired(
    picks: dict[str, int],
    resources: Sequence[Resource],
    costs: Mapping[str, NDArray[np.float64]],
    bits: Mapping[str, NDArray[np.int64]],
    room: int,
) -> dict[str, int] | None:
    """Change single layers until every limit is kept; None where no change comes nearer.

    The change is made that costs the least for what it takes off all that is broken, each limit's
    excess as a share of its span.

    Args:
        picks: an option of each layer.
        resources: what is limited.
        costs: of each layer's options.
        bits: of each layer's options.
        room: how many bits more the layers may take together.
    """
    spans = [max(_span(resource), 1e-30) for resource in resources]
    for _ in range(3 * len(picks)):
        if kept(picks, resources):
            return picks
        excess = [
            (resource.used(picks) - resource.most) / span
            for resource, span in zip(resources, spans, strict=True)
        ]
        broken = sum(max(0.0, each) for each in excess)
        best, least = None, np.inf
        for name, pick in picks.items():
            left = np.zeros(len(bits[name]))
            for resource, span, each in zip(resources, spans, excess, strict=True):
                uses = resource.uses[name]
                left += np.maximum(0.0, each + (uses - uses[pick]) / span)
            gained = broken - left
            helps = (gained > 1e-12) & (bits[name] - bits[name][pick] <= room)
            if helps.any():
                more = costs[name] - costs[name][pick]
                scores = np.where(helps, more / np.where(helps, gained, 1.0), np.inf)
                option = int(scores.argmin())
                if scores[option] < least:
                    best, least = (name, option), float(scores[option])
        if best is None:
            return None
        name, option = best
        room -= int(bits[name][option] - bits[name][picks[name]])
        picks = {**picks, name: option}
    return picks if kept(picks, resources) else None


def _span(resource: Resource) -> float:
    most = float(sum(uses.max() for uses in resource.uses.values()))
    return most - resource.least


def _over(resource: Resource, picks: Mapping[str, int]) -> float:
    """Return how much is used above the least, as a share of what may be; above 1 it is broken."""
    above, room = resource.used(picks) - resource.least, resource.most - resource.least
    if above <= room:
        return above / room if room > 0 else 1.0
    return above / room if room > 1e-9 * abs(above) else 1e9


def _price(
    priced: Priced, resource: Resource, prices: list[float], which: int, scale: float
) -> Picks:
    """Raise one price, in place, to about the lowest at which its limit is kept."""

    def at(price: float) -> Picks:
        return priced([*prices[:which], price, *prices[which + 1 :]])

    low, high = prices[which], max(4 * prices[which], 0.01 * scale)
    found = at(high)
    while resource.used(found[0]) > resource.most:
        low, high = high, 4 * high
        if high > _HIGHEST * scale:
            raise OutOfReachError(resource, found[0])
        found = at(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried = at(middle)
        if resource.used(tried[0]) > resource.most:
            low = middle
        else:
            high, found = middle, tried
    prices[which] = high
    return found

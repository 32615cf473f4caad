"""Studies whose layers are worth looking at: as a search leaves them, without any training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log2, log10

import numpy as np

from mlgsearch.records import FiveNumbers, LayerRecord, StudyRecord, TrialRecord, TrialState
from mlgsearch.results.database.store import ResultStore
from mlgsearch.words import TIMES
from tests.results.samples import a_complete, a_study, an_epoch, some_sizes


@dataclass(frozen=True)
class _Layer:
    name: str
    c_out: int
    c_in: int
    kernel: int

    @property
    def weights(self) -> int:
        return self.c_out * self.c_in * self.kernel**2

    def record(self) -> LayerRecord:
        is_linear = self.name in ("fc", "classifier")
        sides = [self.c_out, self.c_in] + ([] if is_linear else [self.kernel] * 2)
        return LayerRecord(
            name=self.name,
            kind="linear" if is_linear else "conv",
            shape=TIMES.join(map(str, sides)),
            weights=self.weights,
            plain_bits=32 * self.weights,
            is_searched=not is_linear,
        )

    def bits(self, five: FiveNumbers) -> int:
        """Count as the mathematics does; it may not be imported above the results."""
        base_in, base_out, q_basis, q_coeff_in, q_coeff_out = five
        rows = base_out or self.c_out
        bits = rows * self.c_in * self.kernel**2 * q_basis
        if base_in:
            bits = rows * base_in * (self.kernel**2 * q_basis + self.c_in * q_coeff_in)
        return bits + self.c_out * base_out * q_coeff_out


def _resnet20() -> list[_Layer]:
    layers = [_Layer("conv1", 16, 3, 3)]
    c_in = 16
    for stage, width in ((1, 16), (2, 32), (3, 64)):
        for block in range(3):
            layers.append(_Layer(f"layer{stage}.{block}.conv1", width, c_in, 3))
            layers.append(_Layer(f"layer{stage}.{block}.conv2", width, width, 3))
            c_in = width
    return [*layers, _Layer("fc", 10, 64, 1)]


def _densenet121() -> list[_Layer]:
    layers, width = [_Layer("features.conv0", 64, 3, 3)], 64
    for block, count in enumerate((6, 12, 24, 16), start=1):
        for layer in range(1, count + 1):
            path = f"features.denseblock{block}.denselayer{layer}"
            layers.append(_Layer(f"{path}.conv1", 128, width, 1))
            layers.append(_Layer(f"{path}.conv2", 32, 128, 3))
            width += 32
        if block < 4:
            width //= 2
            layers.append(_Layer(f"features.transition{block}.conv", width, 2 * width, 1))
    return [*layers, _Layer("classifier", 10, width, 1)]


NETWORKS = {"resnet20": _resnet20(), "densenet121": _densenet121()}


def layered_study(
    store: ResultStore, name: str = "resnet20", *, network: str = "resnet20", trials: int = 60
) -> list[TrialRecord]:
    """Put a study with COMPLETE trials of all sizes into the store; give the trials."""
    layers = NETWORKS[network]
    store.create_study(a_layered_study(name, network, trials))
    draw = np.random.default_rng(0)
    records = [_trial(number, layers, draw) for number in range(trials)]
    for record in records:
        store.put_trial(name, record, [an_epoch(epoch) for epoch in (1, 2, 3)])
    return records


def a_layered_study(name: str, network: str, trials: int) -> StudyRecord:
    records = tuple(layer.record() for layer in NETWORKS[network])
    content = {"model": {"name": network}, "space": {"kind": "layerwise"}}
    return a_study(name, content=content, layers=records, n_trials=trials, teacher_accuracy=0.93)


def _trial(number: int, layers: Sequence[_Layer], draw: np.random.Generator) -> TrialRecord:
    """Draw settings around a generosity of its own; a loss costs more in early layers."""
    generous = draw.uniform(0.1, 0.9)
    settings: dict[str, FiveNumbers] = {}
    bits, damage, lost = {}, {}, 0.0
    for place, layer in enumerate(layers):
        share = float(np.clip(generous + draw.normal(0, 0.2), 0, 1))
        five, harm = _setting(layer, share)
        settings[layer.name] = five
        bits[layer.name] = layer.bits(five)
        damage[layer.name] = harm
        lost += harm * (0.3 if place < 3 or place == len(layers) - 2 else 0.02) / log2(len(layers))
    total, plain = sum(bits.values()), sum(32 * layer.weights for layer in layers)
    ratio = total / plain
    return a_complete(
        number,
        accuracy=round(float(0.93 - lost + draw.normal(0, 0.003)), 4),
        memory_ratio=ratio,
        settings=settings,
        sizes=replace(some_sizes(ratio), bits=total),
        packed_bytes=total // 8 + 4_000,
        layer_bits=bits,
        layer_damage=damage,
        projection_error={layer: harm**0.5 for layer, harm in damage.items()},
        hyperparameters={},
        attempts=1,
        state=TrialState.COMPLETE,
    )


def _setting(layer: _Layer, share: float) -> tuple[FiveNumbers, float]:
    """Return a canonical setting that takes about so much, and what it loses."""
    bits = 2 + round(6 * share)
    if layer.name in ("fc", "classifier"):
        return (0, 0, 8, 0, 0), 1e-4
    bound = min(layer.c_out, layer.c_in * layer.kernel**2)
    base_out = max(1, round(bound * (0.2 + 0.9 * share)))
    base_in = 1 + round(5 * share) if layer.kernel > 1 else 0
    if base_out >= bound:
        base_out = 0
    if base_in >= min(layer.c_in, layer.kernel**2):
        base_in = 0
    five = (base_in, base_out, bits, bits if base_in else 0, bits if base_out else 0)
    if (base_in or base_out) and layer.bits(five) >= layer.weights * bits:
        five = (0, 0, bits, 0, 0)
    kept = 1.0
    if five[0]:
        kept *= log10(1 + 9 * five[0] / 6)
    if five[1]:
        kept *= log10(1 + 9 * five[1] / bound)
    return five, float(np.clip(1 - kept + 2.0 ** (-2 * bits), 0, 1))

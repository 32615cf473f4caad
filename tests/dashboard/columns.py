"""Columns of trials without a database."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlgsearch.results.analysis.trial_columns import TrialColumns

_BEGIN = np.datetime64("2026-01-01T00:00:00")


def some_columns(*trials: Sequence[Any], **changes: Sequence[Any]) -> TrialColumns:
    """Return trials 0, 1, ... of (state, accuracy, memory ratio) that finished a minute apart.

    Packed files have a million bytes a unit of memory ratio; only COMPLETE trials have one.
    """
    states, accuracies, ratios = zip(*trials, strict=True) if trials else ((), (), ())
    n = len(trials)
    moments = [_BEGIN + np.timedelta64(60 * i, "s") for i in range(n)]
    is_over = [state in ("COMPLETE", "PRUNED", "FAIL") for state in states]
    values: dict[str, Sequence[Any]] = {
        "number": range(n),
        "state": states,
        "accuracy": accuracies,
        "loss": [0.1] * n,
        "memory_ratio": ratios,
        "parameter_ratio": ratios,
        "packed_bytes": [
            round(1e6 * ratio) if state == "COMPLETE" else None
            for state, ratio in zip(states, ratios, strict=True)
        ],
        "latency_ms": [None] * n,
        "peak_activation_bytes": [None] * n,
        "generation_macs": [1] * n,
        "execution_macs": [2] * n,
        "epochs_done": [3] * n,
        "epochs_wanted": [10] * n,
        "attempts": [1] * n,
        "reused_from": [None] * n,
        "created_at": [_BEGIN] * n,
        "finished_at": [m if over else None for m, over in zip(moments, is_over, strict=True)],
        "updated_at": moments,
    }
    return TrialColumns.of(values | changes)


def many_columns(n: int, seed: int = 0) -> TrialColumns:
    """Return n trials of all kinds, spread as in a search."""
    draw = np.random.default_rng(seed)
    ratios = 10 ** draw.uniform(-2.3, -0.6, n)
    accuracies = 0.93 - 0.3 * np.exp(-20 * ratios) - 0.2 * draw.beta(1, 4, n)
    states = draw.choice(["COMPLETE", "PRUNED", "FAIL"], n, p=[0.6, 0.35, 0.05]).tolist()
    return some_columns(
        *(
            (state, None if state == "FAIL" else float(accuracy), float(ratio))
            for state, accuracy, ratio in zip(states, accuracies, ratios, strict=True)
        )
    )

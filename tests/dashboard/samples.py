"""Studies for the pages."""

import math

from mlgsearch.records import TrialState
from mlgsearch.results.database.store import ResultStore
from tests.results.samples import a_complete, a_study, a_trial, an_epoch, some_sizes

#: As unfriendly as a name may be.
NASTY = "<script>alert('x')</script> a/b & c=d? #é %2F"
CONTENT = {
    "model": {"name": "resnet8", "width": 16},
    "data": {"name": "digits"},
    "space": {"kind": "layerwise"},
    "search": {"sampler": "tpe", "seed": 0},
    "training": {"epochs": 10},
}
LAYERS = ("stem", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.downsample.0")


def fill_some_studies(store: ResultStore) -> None:
    """Write a study of 40 trials, one with a nasty name, one without COMPLETE trials, one empty."""
    store.create_study(a_study("digits", content=CONTENT, n_trials=60))
    for number in range(40):
        add_trial(store, "digits", number)
    store.create_study(a_study(NASTY, content=CONTENT))
    for number in range(3):
        add_trial(store, NASTY, number)
    store.create_study(a_study("failing", content=CONTENT))
    error = "ValueError: <img src=x onerror=alert(1)>"
    store.put_trial("failing", a_trial(0, state=TrialState.FAIL, error=error))
    store.create_study(a_study("empty", content=CONTENT))


def add_trial(store: ResultStore, study: str, number: int) -> None:
    """Add a trial whose state and figures follow from its number; 0 to 2 are COMPLETE."""
    ratio = 0.004 * 1.09 ** ((number * 7) % 40)
    accuracy = 0.98 - 0.3 * math.exp(-60 * ratio) - 0.01 * ((number * 13) % 7)
    settings = {
        layer: (1 + (number + i) % 3, 2 + number % 9, 2 + i, 6, 3) for i, layer in enumerate(LAYERS)
    }
    epochs = [an_epoch(e, validation_accuracy=accuracy * (1 - 0.5**e)) for e in range(1, 11)]
    if number % 8 == 5:
        trial = a_trial(
            number,
            state=TrialState.PRUNED,
            settings=settings,
            sizes=some_sizes(ratio),
            accuracy=accuracy / 2,
            loss=1.5,
            epochs_done=3,
        )
        epochs = epochs[:3]
    elif number % 8 == 6:
        trial = a_trial(number, state=TrialState.FAIL, settings=settings, error="loss is NaN")
        epochs = []
    else:
        trial = a_complete(
            number, accuracy, ratio, settings=settings, packed_bytes=int(ratio * 300_000)
        )
    store.put_trial(study, trial, epochs)

"""Measure what augmentations cost per training step, beside the step: augmentation.py --help.

    nice -n 2 .venv/bin/python benchmarks/augmentation.py

Milliseconds of processor time on one thread, for a batch of 64 random RGB images: the median of
``--repeats`` batches. The step is that of a dense torchvision network with the stem that the size
is usual for: forward, backward, and relative_adamw.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional

from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import DataSpec, ModelSpec, OptimiserSpec

JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
ARMS: dict[str, dict[str, object]] = {
    "crop_flip": {"augmentation": "crop_flip"},
    "random_resized_crop": {"augmentation": "none", "random_resized_crop": (0.35, 1.0)},
    "rand_augment": {"augmentation": "none", "rand_augment": {}},
    "colour_jitter": {"augmentation": "none", "colour_jitter": JITTER},
}


def median_ms(act: Callable[[], object], repeats: int) -> float:
    """Return the median processor time of some calls, in milliseconds, after one that warms up."""
    act()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        act()
        times.append(1e3 * (time.process_time() - began))
    return statistics.median(times)


def step_ms(model: str, side: int, batch: int, repeats: int) -> float:
    """Return what a training step takes."""
    stem = "cifar" if side <= 64 else "imagenet"
    spec = ModelSpec.model_validate({"name": model, "stem": stem})
    network = build_model(spec, classes=10, channels=3, image_size=(side, side))
    network.to(memory_format=torch.channels_last)
    optimiser = build_optimiser(network, OptimiserSpec(optimiser="relative_adamw"))
    inputs = torch.rand(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch) % 10

    def step() -> None:
        optimiser.zero_grad(set_to_none=False)
        functional.cross_entropy(network(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return median_ms(step, repeats)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Measure what augmentations cost.")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--sides", type=int, nargs="*", default=[32, 96])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| pixels | {' | '.join(ARMS)} | a step of {options.model} |")
    print(f"|{'---|' * (len(ARMS) + 2)}")
    for side in options.sides:
        shape = (options.batch, 3, side, side)
        images = torch.randint(0, 256, shape, dtype=torch.uint8)
        cells = []
        for keys in ARMS.values():
            augmentation = Augmentation.of(DataSpec.model_validate(keys))
            draws = augmentation.draw(0, 1, options.batch)

            def act(found: Augmentation = augmentation, rows: torch.Tensor = draws) -> object:
                return found.apply(images, rows)  # noqa: B023

            cells.append(f"{median_ms(act, options.repeats):.1f}")
        step = step_ms(options.model, side, options.batch, max(2, options.repeats // 2))
        print(f"| {side} | {' | '.join(cells)} | {step:.0f} |", flush=True)


if __name__ == "__main__":
    main()

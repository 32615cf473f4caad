"""What every classifier of torchvision costs at one setting: a table for docs/networks.md.

    nice -n 2 .venv/bin/python benchmarks/families.py

Ten classes, images of 224x224, the published stem, (B_in, B_out, q_b, q_u, q_v) = (2, 44, 3, 6, 3).
Nothing is trained: the columns are sizes, and the seconds of CPU time that `sizes` takes.
"""

import time

from torchvision import models

from mlgsearch.records import FiveNumbers
from mlgsearch.train.files.size_report import size_report
from mlgsearch.train.spec import ModelSpec

FIVE: FiveNumbers = (2, 44, 3, 6, 3)


def row(name: str) -> str:
    """Return a network's row."""
    began = time.process_time()
    spec = ModelSpec(name=name, stem="imagenet")
    report = size_report(spec, FIVE, classes=10, channels=3, image_size=(224, 224))
    shape, sizes = report.shape, report.sizes
    cells = (
        f"`{name}`",
        f"{shape.full_parameters / 1e6:.2f}",
        f"{sizes.parameter_ratio:.4f}",
        f"{sizes.memory_ratio:.4f}",
        f"{report.packed_bytes / 1e3:,.0f}",
        f"{shape.other_parameters / shape.full_parameters:.2%}",
        f"{time.process_time() - began:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    print("| network | M parameters | parameter ratio | memory ratio | file, kB | kept | s |")
    print("|---|---|---|---|---|---|---|")
    for name in models.list_models(module=models):
        print(row(name), flush=True)


if __name__ == "__main__":
    main()

"""The figures of the README are those that the benchmarks wrote down."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlgsearch.mlg.network import network_shape, network_sizes
from mlgsearch.train.files.packed_file import read_packed
from mlgsearch.train.networks.models import build_without_memory

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
REPORT = (ROOT / "benchmarks" / "README.md").read_text()


def measured(row: str, **wanted: Any) -> dict[str, Any]:
    rows = json.loads((ROOT / "benchmarks" / "step.json").read_text())
    (found,) = (
        each
        for each in rows
        if (each["network"], each["row"]) == ("resnet18", row)
        and all(each.get(key) == value for key, value in wanted.items())
    )
    assert isinstance(found, dict)
    return found


def ratio(row: str, **wanted: Any) -> str:
    return f"{measured(row, **wanted)['ratio']:.2f}"


def memory(precision: str) -> str:
    values = measured("memory", precision=precision)["values"]
    return f"{values['ours'] / values['plain']:.2f}"


def figures(line: str) -> list[str]:
    (found,) = re.findall(rf"^\| {line}.*\| (.*) \|$", README, re.MULTILINE)
    return re.findall(r"[\d.]+", found)


def test_speed_is_what_was_measured() -> None:
    precisions = ("float32", "bfloat16")
    training = [ratio("training", precision=p, threads=n) for n in (1, 2) for p in precisions]
    said = [number for number in figures("a training step") if "." in number]
    assert said == training + [memory(precision) for precision in precisions]
    inference = [ratio("inference", batch=batch, threads=1) for batch in (1, 64)]
    assert figures("a forward pass") == inference


def test_the_report_holds_the_tables_that_the_benchmark_prints() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "step.py"), "--print"]
    tables = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert tables
    for table in tables.split("\n\n"):
        assert table in REPORT


def test_students_are_those_of_the_report() -> None:
    rows = re.findall(
        r"^\| \d+ \| \w+ \| [\d.]+ % \| ([\d.]+) % \| ([\d.]+) \|", REPORT, re.MULTILINE
    )
    accuracy, size, *other = figures("CIFAR-10")
    assert {(accuracy, size), (other[0], other[1])} <= set(rows)
    assert "89.66 % on the test part" in README
    assert "89.66 % on the test part" in REPORT


def test_the_papers_experiment_is_what_was_measured() -> None:
    rows = json.loads((ROOT / "benchmarks" / "headline.json").read_text())
    assert {(row["network"], row["at_most"]) for row in rows} >= {
        ("resnet18", 0.008),
        ("resnet18", 0.005),
    }
    for row in rows:
        line = (
            rf"^\| ours, {row['arm']}.* \| {row['memory_ratio']:.4f} \| {row['packed_bytes']:,} "
            rf"\| {row['test_percent']:.2f} % \| {row['teacher_percent']:.2f} % "
            rf"\| {row['teacher_epochs']} and {row['epochs']} \|$"
        )
        assert re.search(line, README, re.MULTILINE), row


def test_the_packed_students_of_the_papers_experiment_are_those_measured() -> None:
    rows = json.loads((ROOT / "benchmarks" / "headline.json").read_text())
    folder = ROOT / "benchmarks" / "students"
    files = {f"{row['network']}-{row['at_most']:.4f}-{row['arm']}.mlg": row for row in rows}
    assert files.keys() == {path.name for path in folder.glob("*.mlg")}
    for name, row in files.items():
        card, _ = read_packed(folder / name)
        assert (folder / name).stat().st_size == row["packed_bytes"]
        network = build_without_memory(
            card.model, classes=card.classes, channels=card.channels, image_size=card.image_size
        )
        shape = network_shape(network, card.input_shape)
        settings = dict(zip(shape.layers, card.settings, strict=True))
        sizes = network_sizes(shape, settings, card.norm_bits)
        assert round(sizes.memory_ratio, 6) == row["memory_ratio"]

"""The figures of the README are those that the benchmarks wrote down."""

import json
import re
from pathlib import Path
from typing import Any

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


def test_students_are_those_of_the_report() -> None:
    rows = re.findall(
        r"^\| \d+ \| \w+ \| [\d.]+ % \| ([\d.]+) % \| ([\d.]+) \|", REPORT, re.MULTILINE
    )
    accuracy, size, *other = figures("CIFAR-10")
    assert {(accuracy, size), (other[0], other[1])} <= set(rows)
    assert "89.66 % on the test part" in README
    assert "89.66 % on the test part" in REPORT

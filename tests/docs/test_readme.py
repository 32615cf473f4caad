"""The figures of the README are those that the benchmarks wrote down."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
REPORT = (ROOT / "benchmarks" / "README.md").read_text()


def ratio(row: str, **wanted: Any) -> str:
    rows = json.loads((ROOT / "benchmarks" / "step.json").read_text())
    (found,) = (
        each["ratio"]
        for each in rows
        if (each["network"], each["row"]) == ("resnet18", row)
        and all(each.get(key) == value for key, value in wanted.items())
    )
    return f"{found:.2f}"


def figures(line: str) -> list[str]:
    (found,) = re.findall(rf"^\| {line}.*\| (.*) \|$", README, re.MULTILINE)
    return re.findall(r"[\d.]+", found)


def test_speed_is_what_was_measured() -> None:
    training = [ratio("training", precision=p, threads=1) for p in ("float32", "bfloat16")]
    assert [n for n in figures("a training step") if "." in n] == training
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

"""`show`, of a study and of one trial."""

import json
import re

from tests.cli.filled import NAME, Filled, Run, lines, row


def test_show_lists_every_trial_with_the_front_starred(run: Run) -> None:
    result = run("show", NAME)
    assert lines(result)[0].startswith(f"{NAME}: 7 of 9 trials, teacher 97.50%, objectives")
    assert row(result, "* 0")[2:6] == ["COMPLETE", "95.00%", "0.0500", "20.0x"]
    assert row(result, "* 1")[2:4] == ["COMPLETE", "90.00%"]
    assert row(result, "2 ")[1] == "COMPLETE"
    assert " ".join(row(result, "3 ")).endswith("the same student as trial 0")
    assert " ".join(row(result, "4 ")).endswith("no [red]memory[/] left")
    assert row(result, "5 ")[-1] == "1/10"


def test_show_reports_what_changed_and_was_accepted(run: Run, filled: Filled) -> None:
    changes = ["library torch: 2.14.1 -> 2.15.0", "training.epochs: [red]10[/] -> 20"]
    study = filled.store.study(NAME)
    filled.store.accept_change(
        NAME,
        changes,
        content=study.content,
        content_hash=study.content_hash,
        source=study.source,
        versions=study.versions,
    )
    head, *accepted = lines(run("show", NAME))[:4]
    assert head.startswith(f"{NAME}: 7 of 9")
    assert re.fullmatch(
        r"Changed after 7 trials, and accepted on [-0-9]{10} [:0-9]{5} UTC:", accepted[0]
    )
    assert accepted[1:] == changes


def test_show_one_trial(run: Run) -> None:
    result = run("show", NAME, "0")
    assert row(result, "stem ") == ["stem", "-", "-", "8", "-", "-", "0.250"]
    assert row(result, "layer1.0 ")[1:6] == ["2", "44", "3", "6", "3"]
    assert row(result, "1 ")[:3] == ["1", "1.0000", "90.00%"]
    assert "seed 4611686018427387904, attempts 0, train 2.00 s" in lines(result)
    assert any(
        line.startswith('hyperparameters: {"learning_rate": 0.001') for line in lines(result)
    )
    assert lines(run("show", NAME, "6"))[-1].endswith("attempts 0")


def test_show_as_json(run: Run) -> None:
    trials = [json.loads(line) for line in lines(run("show", NAME, "--json"))]
    assert [trial["trial"] for trial in trials] == list(range(7))
    assert trials[3]["reused_from"] == 0
    assert trials[4]["error"] == "no [red]memory[/] left"
    assert trials[0]["settings"] == {"stem": [0, 0, 8, 0, 0], "layer1.0": [2, 44, 3, 6, 3]}
    (line,) = lines(run("show", NAME, "0", "--json"))
    assert "NaN" not in line
    trial = json.loads(line)
    assert trial["epochs"][1]["train_loss"] is None
    assert trial["projection_error"] == {"stem": 0.25}

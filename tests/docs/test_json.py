"""The page of JSON fields lists every field that is printed, and no other."""

import io
import json
import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from mlgsearch.cli.commands.choosing import Chosen, choice_fields
from mlgsearch.cli.commands.evaluate import evaluation_fields
from mlgsearch.cli.commands.sizes import report_fields
from mlgsearch.cli.progress.events import JsonEvents
from mlgsearch.cli.progress.verify_events import VerifyEvents
from mlgsearch.records import EpochRecord
from mlgsearch.results.analysis.choice import Limit
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.formats import COLUMNS, VERIFIED_COLUMNS, expectation_fields
from mlgsearch.results.read.study_choice import StudyChoice
from mlgsearch.results.read.study_results import StudyResults
from mlgsearch.results.trial_fields import detailed_trial_fields, to_json, trial_fields
from mlgsearch.study.dry_run import Forecast
from mlgsearch.study.space.plan_report import PlannedPoint, point_fields
from mlgsearch.study.space.sensitivity import LayerSensitivity
from mlgsearch.train.files.c.network import CFigures
from mlgsearch.train.files.file_report import FileReport
from mlgsearch.train.files.latency import Latency
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.size_report import size_report
from mlgsearch.train.spec import ModelSpec
from tests.results.samples import a_complete, a_study, a_trial, a_verification, an_epoch

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text()


def listed(heading: str) -> list[str]:
    """Return the fields in the table under a heading."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return re.findall(r"^\| `(\w+)` \|", found[1], re.MULTILINE)


def written(*calls: Any) -> list[dict[str, Any]]:
    out = io.StringIO()
    events = JsonEvents(out)
    for call in calls:
        call(events)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_trial_and_an_epoch() -> None:
    assert listed("A trial") == list(trial_fields(a_trial()))
    assert listed("An epoch") == [field.name for field in fields(EpochRecord)]


def test_a_trial_in_detail() -> None:
    detailed = list(detailed_trial_fields(a_trial(), []))
    assert [*listed("A trial"), *listed("`show NAME TRIAL --json`")] == detailed


def test_the_front() -> None:
    assert listed("`front NAME --format json`") == list(COLUMNS)
    assert listed("`front NAME --verified --format json`") == list(VERIFIED_COLUMNS)


def test_choose() -> None:
    limit = Limit("max_ratio", 0.1)
    trials = [a_complete(0, 0.99, 0.1), a_complete(1, 0.2, 0.05)]
    results = StudyResults(a_study(), TrialColumns.of_records(trials), [])
    picked = StudyChoice.of(results, limit)
    by_number = {trial.number: trial for trial in trials}
    fields = choice_fields(Chosen(picked, by_number, [], "search.py export ..."))
    assert listed("`choose NAME --json`") == list(fields)
    assert listed("An expectation") == list(expectation_fields(None))
    assert list(fields["chosen"]) == [*listed("A trial"), *listed("An expectation")]
    assert listed("A neighbour") == list(fields["smaller"])


def test_a_dry_run() -> None:
    assert listed("dry_run") == ["study", *(field.name for field in fields(Forecast))]


def test_the_events_of_verify() -> None:
    out = io.StringIO()
    events = VerifyEvents(out)
    events.preparing("logits", 1, 2, "seed 1")
    events.notice("no node has room")
    events.started(a_study(), [a_verification()], 2)
    events.run(a_verification())
    events.stopping(2)
    events.ended(a_study(), [a_verification()], [])
    lines = map(json.loads, out.getvalue().splitlines())
    preparing, notice, started, run, stopping, finished = lines
    assert list(preparing) == ["event", *listed("preparing")]
    assert list(notice) == ["event", *listed("notice")]
    assert list(started) == ["event", *listed("verify: started")]
    assert list(run) == ["event", *listed("verify: run")]
    assert list(stopping) == ["event", "running"]
    assert list(finished) == ["event", *listed("verify: finished")]
    assert finished["event"] == "finished"


def test_sizes() -> None:
    report = size_report(ModelSpec(), (2, 8, 3, 6, 3), classes=10, channels=1, image_size=(8, 8))
    fields = report_fields(report)
    assert listed("`sizes MODEL --json`") == ["model", *fields]
    assert listed("A layer") == list(fields["layers"][0])


def test_plan() -> None:
    point = PlannedPoint({}, 32, a_trial().sizes, 1, 0.5, {}, 2)
    assert listed("`plan FILE --json`") == list(point_fields(point))


def test_sensitivity() -> None:
    expected = [field.name for field in fields(LayerSensitivity)]
    assert listed("`sensitivity NAME|FILE --json`") == expected


def test_evaluate() -> None:
    card = PackedCard(
        model=ModelSpec(),
        classes=10,
        channels=1,
        image_size=(8, 8),
        method="dorefa",
        settings=(),
        mean=(0.0,),
        std=(1.0,),
    )
    c = CFigures(1, 1, 1, 1, 0.5)
    report = FileReport(card, "test", 1, 0.5, 1.0, 10, 20, [Latency(1, 2.0, 3.0)], c=c)
    fields = evaluation_fields(report)
    assert listed("`evaluate FILE --json`") == ["file", *fields]
    assert listed("A latency") == list(fields["latency"][0])
    assert listed("A C program's figures") == list(fields["c"])


def test_the_events_of_a_driver() -> None:
    preparing, notice, started, epoch, trial = written(
        lambda events: events.preparing("teacher", 1, 2, "x"),
        lambda events: events.notice("x"),
        lambda events: events.started(a_study(), [a_trial()], 2),
        lambda events: events.trial(a_trial(3), [an_epoch(1)]),
        lambda events: events.trial(a_trial(3), []),
    )
    assert list(preparing) == ["event", *listed("preparing")]
    assert list(notice) == ["event", *listed("notice")]
    assert list(started) == ["event", *listed("started")]
    assert list(epoch) == ["event", "trial", *listed("An epoch")]
    assert list(trial) == ["event", *listed("A trial")]


def test_a_trial_that_ends_reports_its_epochs_first() -> None:
    events = written(lambda events: events.trial(a_complete(3, 0.9, 0.1), [an_epoch(1)]))
    assert [event["event"] for event in events] == ["epoch", "trial"]
    assert events[1]["state"] == "COMPLETE"


def test_what_json_does_not_have_is_null() -> None:
    content = {"a": math.nan, "b": [math.inf, 1.5, {"c": -math.inf}], "d": (1, True, None, "NaN")}
    expected = {"a": None, "b": [None, 1.5, {"c": None}], "d": [1, True, None, "NaN"]}
    assert json.loads(to_json(content), parse_constant=lambda name: name) == expected

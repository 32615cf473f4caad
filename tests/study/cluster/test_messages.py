"""What is written is what is read."""

import json
import math
from typing import Any

import pytest

from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.study.cluster.messages import Assignment, Report
from mlgsearch.study.space.space import Proposal
from tests.study.driverless import a_summary
from tests.study.samples import an_epoch

LAST: list[dict[str, Any]] = [
    {"summary": a_summary()},
    {"error": "out of memory"},
    {"error": ""},
    {"disk_full": "no space left"},
]


def sent(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result as Ray has it, with what Ray adds."""
    content: dict[str, Any] = json.loads(json.dumps(result))
    return {**content, "training_iteration": 3, "hostname": "box"}


def test_an_assignment_arrives() -> None:
    settings = {"stem": LayerSetting(2, 44, 3, 6, 3), "a.b": LayerSetting.plain(32)}
    proposal = Proposal(settings, {"training.learning_rate": 0.1, "training.optimiser": "sgd"})
    written = Assignment(7, 2, proposal).to_config()
    assert all(isinstance(value, int | str) for value in written.values())  # Ray flattens others
    assert Assignment.from_config({**written, "context": "..."}) == Assignment(7, 2, proposal)


@pytest.mark.parametrize("last", LAST)
def test_a_last_report_arrives_and_says_that_it_is_the_last(last: dict[str, Any]) -> None:
    report = Report(3, (an_epoch(1), an_epoch(2)), **last)
    result = report.to_result()
    assert result["done"]
    assert Report.from_result(sent(result)) == report


def test_a_report_in_between_arrives() -> None:
    report = Report(1, (an_epoch(1),))
    assert not report.is_last
    assert not report.to_result()["done"]
    assert Report.from_result(sent(report.to_result())) == report


def test_a_loss_that_is_not_finite_arrives() -> None:
    found = Report.from_result(sent(Report(1, summary=a_summary(loss=math.nan)).to_result()))
    assert found is not None
    assert found.summary is not None
    assert found.summary.loss is not None
    assert math.isnan(found.summary.loss)


@pytest.mark.parametrize("result", [None, {}, {"training_iteration": 1}])
def test_what_carries_no_report_is_none(result: dict[str, Any] | None) -> None:
    assert Report.from_result(result) is None

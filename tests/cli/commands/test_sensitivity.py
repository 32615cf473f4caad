"""`sensitivity`, on the study of `test_plan`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlgsearch.cli.app import app
from mlgsearch.planning.network_tables import Tables
from mlgsearch.results.analysis.effects.trial_sensitivity import LayerCost
from mlgsearch.study.space import plan_report
from mlgsearch.study.space.sensitivity import sensitivities
from tests.planning import samples


class _Known:
    """A plan whose tables are there already."""

    tables: Tables

    @classmethod
    def open(cls, *arguments: object) -> "_Known":
        cls.tables = samples.tables()
        return cls()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(plan_report, "Plan", _Known)
    path = tmp_path / "small.yaml"
    path.write_text("name: small\n")
    return path


def test_a_file_says_what_layers_need(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "layers.html"
    done = CliRunner().invoke(app, ["sensitivity", str(file), "--json", "--out", str(out)])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["layer"] for row in rows} == set(samples.shape().layers)
    needed = [row["ratio_for_10_percent"] or 1.0 for row in rows]
    assert needed == sorted(needed, reverse=True)
    assert {row["trial_cost"] for row in rows} == {None}
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert "What layers need before any training" in out.read_text()
    table = CliRunner().invoke(app, ["sensitivity", str(file)])
    assert all(name in table.stdout for name in samples.shape().layers)


def test_trials_come_first_where_there_are_some() -> None:
    costs = {name: LayerCost(0.5, i / 100, 0.01) for i, name in enumerate(samples.shape().layers)}
    rows = sensitivities(samples.tables(), costs)
    assert [row.layer for row in rows] == list(samples.shape().layers)[::-1]
    assert rows[0].trial_cost == (len(costs) - 1) / 100

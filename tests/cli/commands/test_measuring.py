from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlgsearch.cli.app import app
from mlgsearch.errors import UserError
from mlgsearch.study.file.latency import parse_latency
from mlgsearch.study.file.study_file import load_study_file

STUDY = """
name: timed
model: {name: resnet8, width: 32}
space: {kind: layerwise, B_in: [1, 1], B_out: [4, 8]}
latency: table.csv
limits: {latency_ms: 1000}
"""


def test_the_table_is_what_the_study_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLGSEARCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "s.yaml").write_text(STUDY)
    words = ["measure", str(tmp_path / "s.yaml"), "--on", "torch"]
    table = tmp_path / "table.csv"
    done = CliRunner().invoke(app, [*words, "--out", str(table)])
    assert done.exit_code == 0, done.output
    assert "dense network " in done.stdout
    spec, _ = load_study_file(tmp_path / "s.yaml")
    assert spec.latency is not None
    rows = parse_latency(spec.latency)
    assert rows[0].form == "rest"
    assert rows[0].latency_ms > 0
    assert {row.form for row in rows[1:]} >= {"dense", "level2"}
    assert {row.base_out for row in rows if row.form == "level2"} <= {4, 5, 6, 7, 8}
    for out, said in (
        (table, "exists; write another name, or --force to replace it"),
        (tmp_path / "no" / "table.csv", "its folder does not exist"),
    ):
        refused = CliRunner().invoke(app, [*words, "--out", str(out)])
        assert isinstance(refused.exception, UserError)
        assert said in str(refused.exception)

"""`list`, on a database filled through the store."""

import json
import os

from sqlalchemy import Engine, event

from mlgsearch.results.read.study_list import study_rows
from tests.cli.filled import NAME, Filled, Run, lines, row


def test_list_shows_states_best_values_and_the_driver(run: Run, filled: Filled) -> None:
    with filled.driven():
        found = " ".join(row(run("list"), NAME))
    # Complete of wanted, pruned, failed, running, queued, best accuracy, smallest.
    assert found.startswith(f"{NAME} 4/9 0 1 1 1 95.00% 0.0100 ")
    assert f"ann@box:{os.getpid()}" in found
    # Without a driver nothing runs: what was running waits to be adopted.
    assert " ".join(row(run("list"), NAME)).startswith(f"{NAME} 4/9 0 1 0 2 ")


def test_list_as_json(run: Run, filled: Filled) -> None:
    with filled.driven():
        first, second = (json.loads(line) for line in lines(run("list", "--json")))
    assert list(first) == ["study", "n_trials", "states", "hypervolume", "driver"]
    assert first["study"] == NAME
    assert first["states"] == {"WAITING": 1, "RUNNING": 1, "COMPLETE": 4, "PRUNED": 0, "FAIL": 1}
    assert first["driver"] == f"box:{os.getpid()}"
    assert (second["hypervolume"], second["driver"]) == (0, None)


def test_list_reads_no_more_than_the_page_does(run: Run, filled: Filled) -> None:
    """Every trial's settings, once read for each study, took ten times as long."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        study_rows(filled.engine)
        page = [said for said in statements if " FROM mlg_trial" in " ".join(said.split())]
        for options in ((), ("--json",)):
            statements.clear()
            run("list", *options)
            command = [said for said in statements if " FROM mlg_trial" in " ".join(said.split())]
            assert command == page
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert page
    assert not any("settings" in statement for statement in page)


def test_list_of_a_database_without_studies(run: Run, filled: Filled) -> None:
    filled.store.delete_study(NAME)
    filled.store.delete_study("empty")
    assert lines(run("list"))[0].startswith("No studies yet; start one with")
    assert lines(run("list", "--json")) == []

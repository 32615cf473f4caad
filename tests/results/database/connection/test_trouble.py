"""What is said of a database's errors, and whether waiting helps."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from mlgsearch.results.database.connection.trouble import Trouble, trouble


def test_troubles_of_sqlite(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/a.db", connect_args={"timeout": 0})
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    with engine.connect() as connection:
        assert found(connection, "SELECT") is None  # a mistake of ours
        missing = found(connection, "SELECT * FROM nowhere")
        assert missing == Trouble("a table is missing (no such table: nowhere)", passes=False)
        other.execute("BEGIN EXCLUSIVE")
        held = found(connection, "CREATE TABLE new (number INTEGER)")
        assert held == Trouble("another process holds it (database is locked)")
    other.close()
    engine.dispose()


def found(connection: Connection, statement: str) -> Trouble | None:
    with pytest.raises(OperationalError) as caught:
        connection.execute(text(statement))
    return trouble(caught.value)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("57P01", Trouble("it is away")),
        ("53100", Trouble("its disk is full")),
        ("53200", Trouble("it has no room")),
        ("55P03", Trouble("another process holds it")),
        ("42P01", Trouble("a table is missing", passes=False)),
        ("42601", None),  # a mistake of ours
    ],
)
def test_postgresqls_states(state: str, said: Trouble | None) -> None:
    class Cause(Exception):
        sqlstate = state

    found = trouble(ProgrammingError("SELECT", {}, Cause("so it says")))
    assert found == (said and said._replace(said=f"{said.said} (so it says)"))


def test_what_is_said_of_a_server_that_does_not_answer_has_no_password() -> None:
    engine = create_engine("postgresql+psycopg://ann:s3cr3t@127.0.0.1:1/results")
    with pytest.raises(OperationalError) as caught:
        engine.connect()
    found = trouble(caught.value)
    assert found is not None
    assert found.passes
    assert found.said.startswith("it is away (connection failed")
    assert "s3cr3t" not in found.said


def test_mysqls_numbers() -> None:
    lost = OperationalError("", {}, Exception(2013, "Lost connection"))
    gone = OperationalError("", {}, Exception(1146, "No such table"))
    gone.orig.sqlstate = "42S02"  # type: ignore[union-attr]  # as newer versions of PyMySQL have it
    assert trouble(lost) == Trouble("it is away ((2013, 'Lost connection'))")
    assert trouble(gone) == Trouble("a table is missing ((1146, 'No such table'))", passes=False)

"""Our schema beside Optuna's, brought up to date or refused."""

import multiprocessing
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from optuna.storages import RDBStorage
from sqlalchemy import Engine, inspect, text

from mlgsearch.errors import StorageError
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import alembic_config, is_ours, upgrade
from mlgsearch.results.database.schema import REVISIONS, VERSION_TABLE, check, head
from mlgsearch.results.database.tables import PREFIX, metadata
from tests.results.processes import bring_up_to_date


@pytest.fixture
def empty(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


def _our_tables(engine: Engine) -> set[str]:
    return {name for name in inspect(engine).get_table_names() if name.startswith(PREFIX)}


def test_the_migrations_make_what_the_tables_say(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_name": is_ours,
                "version_table": VERSION_TABLE,
                "compare_type": True,
                "target_metadata": metadata,
            },
        )
        assert compare_metadata(context, metadata) == []
    assert _our_tables(engine) == {*metadata.tables, VERSION_TABLE}


def test_every_constraint_has_the_name_the_tables_say(engine: Engine) -> None:
    inspector = inspect(engine)
    for table in metadata.sorted_tables:
        found = {
            *(key["name"] for key in inspector.get_foreign_keys(table.name)),
            *(key["name"] for key in inspector.get_unique_constraints(table.name)),
        }
        key = inspector.get_pk_constraint(table.name)["name"]
        if key is not None:  # SQLite forgets it where the key counts itself up
            found.add(key)
        expected = {constraint.name for constraint in table.constraints}
        assert found in (expected, expected - {f"pk_{table.name}"})
        assert all(
            key["options"].get("ondelete") == "CASCADE"
            for key in inspector.get_foreign_keys(table.name)
        )


def test_upgrade_is_idempotent_and_check_accepts_it(empty: Engine) -> None:
    upgrade(empty)
    upgrade(empty)
    check(empty)


def test_check_asks_for_a_schema_where_there_is_none(empty: Engine) -> None:
    with pytest.raises(StorageError, match="has no mlgsearch tables yet"):
        check(empty)
    assert _our_tables(empty) == set()


def _set_revision(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'"))


def test_a_newer_schema_is_refused(engine: Engine) -> None:
    _set_revision(engine, "9999")
    for call in (check, upgrade):
        with pytest.raises(StorageError, match=f"the schema is 9999, newer than the {head()}"):
            call(engine)


def test_an_older_schema_is_refused_by_check(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = head()
    monkeypatch.setattr("mlgsearch.results.database.schema.head", lambda: "9998")
    with pytest.raises(StorageError, match=f"the schema is {found}, this version needs 9998"):
        check(engine)


def test_a_failed_upgrade_leaves_nothing_behind(empty: Engine) -> None:
    if empty.dialect.name == "mysql":
        pytest.skip("MySQL commits each change of the schema by itself")
    with empty.begin() as connection:
        connection.execute(text("CREATE TABLE mlg_lease (x INTEGER)"))
    with pytest.raises(StorageError, match="cannot bring the schema to"):
        upgrade(empty)
    assert _our_tables(empty) == {"mlg_lease"}


@pytest.mark.parametrize("optuna_first", [True, False])
def test_optuna_lives_in_the_same_database(database_url: str, optuna_first: bool) -> None:
    engine = open_engine(database_url)
    if not optuna_first:
        upgrade(engine)
    storage = RDBStorage(database_url)
    storage.create_new_study([], "theirs")
    if optuna_first:
        upgrade(engine)
    check(engine)
    again = RDBStorage(database_url)
    assert [study.study_name for study in again.get_all_studies()] == ["theirs"]
    for theirs in (storage, again):
        theirs.remove_session()
        theirs.engine.dispose()
    engine.dispose()


def test_several_may_upgrade_at_once(database_url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(bring_up_to_date, [database_url] * 3, chunksize=1)


def test_the_revisions_are_those_of_the_migrations() -> None:
    scripts = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    assert tuple(script.revision for script in scripts)[::-1] == REVISIONS

"""The words of each database; the conformance suite runs two of them."""

import pytest
from sqlalchemy.dialects import mysql, postgresql, sqlite

from mlgsearch.results.database.tables import epoch_table
from mlgsearch.results.database.upsert import upsert

DIALECTS = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(),  # type: ignore[no-untyped-call]
    "mysql": mysql.dialect(),
    "mariadb": mysql.dialect(),
}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sqlite", "ON CONFLICT (trial_id, epoch) DO UPDATE SET"),
        ("postgresql", "ON CONFLICT (trial_id, epoch) DO UPDATE SET"),
        ("mysql", "ON DUPLICATE KEY UPDATE"),
        ("mariadb", "ON DUPLICATE KEY UPDATE"),
    ],
)
def test_upsert_speaks_each_dialect(name: str, words: str) -> None:
    statement = upsert(
        name,
        epoch_table,
        ("trial_id", "epoch"),
        ["train_loss"],
        {"trial_id": 1, "epoch": 1, "train_loss": 2.0, "epoch_s": 3.0},
        keep_if_set=["epoch_s"],
    )
    said = " ".join(str(statement.compile(dialect=DIALECTS[name])).split())
    assert words in said
    assert "coalesce(mlg_epoch.epoch_s," in said.replace("`", "")

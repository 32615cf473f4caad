"""The tables of mlgsearch, all named ``mlg_``, beside Optuna's own in the same database.

A change here needs a new file in ``migrations/versions``; a test compares the two.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

from mlgsearch.records import MEASURES
from mlgsearch.results.database.column_types import (
    LONG_TEXT,
    CleanText,
    JsonText,
    StudyName,
    UtcMoment,
)

#: Which of the tables in the database are ours.
PREFIX = "mlg_"

#: Every constraint has a name of its own, so that a migration can find it.
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

#: Row ids are never used twice on SQLite either; MySQL checks foreign keys and knows all letters.
OPTIONS: dict[str, Any] = {
    "sqlite_autoincrement": True,
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
}


def _parent(table: str) -> ForeignKey:
    return ForeignKey(f"{table}.id", ondelete="CASCADE")


study_table = Table(
    "mlg_study",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", StudyName, nullable=False),
    Column("content", JsonText, nullable=False),
    Column("content_hash", String(128), nullable=False),
    Column("source", LONG_TEXT, nullable=False),
    Column("objectives", JsonText, nullable=False),
    Column("n_trials", Integer, nullable=False),
    Column("teacher_hash", String(128), nullable=False),
    Column("teacher_accuracy", Double),
    Column("teacher_test_accuracy", Double),
    Column("versions", JsonText, nullable=False),
    Column("created_at", UtcMoment, nullable=False),
    Column("updated_at", UtcMoment, nullable=False),
    # NULL in what is below: written before it was kept, or not known yet.
    Column("hypervolume_reference", JsonText),
    Column("layers", JsonText),
    Column("planned", JsonText),
    Column("data_hash", String(128)),
    Column("lineage", JsonText),
    Column("validation_samples", Integer),
    Column("ended", CleanText),
    Column("uncompressed", CleanText),
    UniqueConstraint("name"),
    **OPTIONS,
)

trial_table = Table(
    "mlg_trial",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", Integer, _parent("mlg_study"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("settings", JsonText, nullable=False),
    Column("hyperparameters", JsonText, nullable=False),
    Column("fingerprint", String(128), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("bits", BigInteger, nullable=False),
    Column("parameter_ratio", Double, nullable=False),
    Column("memory_ratio", Double, nullable=False),
    Column("generation_macs", BigInteger, nullable=False),
    Column("execution_macs", BigInteger, nullable=False),
    Column("epochs_wanted", Integer, nullable=False),
    Column("epochs_done", Integer, nullable=False),
    *(Column(measure.name, BigInteger if measure.is_integer else Double) for measure in MEASURES),
    Column("projection_error", JsonText, nullable=False),
    Column("stage_seconds", JsonText, nullable=False),
    Column("versions", JsonText, nullable=False),
    Column("teacher_hash", String(128), nullable=False),
    Column("reused_from", Integer),
    Column("attempts", Integer, nullable=False),
    Column("error", CleanText),
    Column("created_at", UtcMoment, nullable=False),
    Column("finished_at", UtcMoment),
    Column("updated_at", UtcMoment, nullable=False),
    # NULL: a trial of a version that did not keep them.
    Column("layer_bits", JsonText),
    Column("layer_damage", JsonText),
    UniqueConstraint("study_id", "number"),
    # A reader that polls asks for what is after the last (updated_at, id) it saw.
    Index(None, "study_id", "updated_at", "id"),
    **OPTIONS,
)

epoch_table = Table(
    "mlg_epoch",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("trial_id", Integer, _parent("mlg_trial"), nullable=False),
    Column("epoch", Integer, nullable=False),
    # NULL means a value that was not finite: a training that blew up.
    Column("train_loss", Double),
    Column("train_accuracy", Double),
    Column("validation_loss", Double),
    Column("validation_accuracy", Double),
    Column("learning_rate", Double),
    Column("epoch_s", Double),
    UniqueConstraint("trial_id", "epoch"),
    **OPTIONS,
)

# What `verify` found: a trial's student trained again under another seed, and the test part.
verification_table = Table(
    "mlg_verification",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("trial_id", Integer, _parent("mlg_trial"), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("epochs", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("epochs_done", Integer, nullable=False),
    Column("validation_accuracy", Double),
    Column("test_accuracy", Double),
    Column("packed_accuracy", Double),
    Column("test_samples", Integer),
    Column("packed_bytes", BigInteger),
    Column("seconds", Double),
    Column("versions", JsonText, nullable=False),
    Column("error", CleanText),
    Column("created_at", UtcMoment, nullable=False),
    Column("finished_at", UtcMoment),
    UniqueConstraint("trial_id", "seed", "epochs"),
    **OPTIONS,
)

# One row per study for as long as the study lives, so that `token` never goes back; a lease whose
# `expires_unix_s` is in the past is free. Seconds since 1970 by the database's clock, because the
# databases agree on how to add numbers, not on how to add to a date.
lease_table = Table(
    "mlg_lease",
    metadata,
    Column("study_id", Integer, _parent("mlg_study"), primary_key=True, autoincrement=False),
    Column("token", BigInteger, nullable=False),
    Column("holder", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    # Read by drivers of earlier versions only, which run on while the schema is brought forward.
    Column("pid_started", Double, nullable=False),
    Column("acquired_unix_s", Double, nullable=False),
    Column("expires_unix_s", Double, nullable=False),
    # NULL: written before it was kept.
    Column("process", String(255)),
    # NULL: it waits for nothing, or was written before it was kept.
    Column("waits_for", CleanText),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
)

"""The first tables: studies, trials, epochs, leases."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
STUDY_NAME = sa.String(128).with_variant(mysql.VARCHAR(128, collation="utf8mb4_bin"), "mysql")
MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}


def upgrade() -> None:
    op.create_table(
        "mlg_study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", STUDY_NAME, nullable=False),
        sa.Column("content", LONG_TEXT, nullable=False),
        sa.Column("content_hash", sa.String(128), nullable=False),
        sa.Column("source", LONG_TEXT, nullable=False),
        sa.Column("objectives", LONG_TEXT, nullable=False),
        sa.Column("n_trials", sa.Integer(), nullable=False),
        sa.Column("teacher_hash", sa.String(128), nullable=False),
        sa.Column("teacher_accuracy", sa.Double()),
        sa.Column("versions", LONG_TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mlg_study"),
        sa.UniqueConstraint("name", name="uq_mlg_study_name"),
        sqlite_autoincrement=True,
        **MYSQL,
    )
    op.create_table(
        "mlg_trial",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("settings", LONG_TEXT, nullable=False),
        sa.Column("hyperparameters", LONG_TEXT, nullable=False),
        sa.Column("fingerprint", sa.String(128), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("bits", sa.BigInteger(), nullable=False),
        sa.Column("parameter_ratio", sa.Double(), nullable=False),
        sa.Column("memory_ratio", sa.Double(), nullable=False),
        sa.Column("generation_macs", sa.BigInteger(), nullable=False),
        sa.Column("execution_macs", sa.BigInteger(), nullable=False),
        sa.Column("epochs_wanted", sa.Integer(), nullable=False),
        sa.Column("epochs_done", sa.Integer(), nullable=False),
        sa.Column("accuracy", sa.Double()),
        sa.Column("loss", sa.Double()),
        sa.Column("projection_error", LONG_TEXT, nullable=False),
        sa.Column("stage_seconds", LONG_TEXT, nullable=False),
        sa.Column("versions", LONG_TEXT, nullable=False),
        sa.Column("teacher_hash", sa.String(128), nullable=False),
        sa.Column("reused_from", sa.Integer()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", LONG_TEXT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["mlg_study.id"],
            name="fk_mlg_trial_study_id_mlg_study",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_mlg_trial"),
        sa.UniqueConstraint("study_id", "number", name="uq_mlg_trial_study_id_number"),
        sqlite_autoincrement=True,
        **MYSQL,
    )
    op.create_index(
        "ix_mlg_trial_study_id_updated_at_id", "mlg_trial", ["study_id", "updated_at", "id"]
    )
    op.create_table(
        "mlg_epoch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("train_loss", sa.Double()),
        sa.Column("train_accuracy", sa.Double()),
        sa.Column("validation_loss", sa.Double()),
        sa.Column("validation_accuracy", sa.Double()),
        sa.Column("learning_rate", sa.Double()),
        sa.Column("epoch_s", sa.Double()),
        sa.ForeignKeyConstraint(
            ["trial_id"],
            ["mlg_trial.id"],
            name="fk_mlg_epoch_trial_id_mlg_trial",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_mlg_epoch"),
        sa.UniqueConstraint("trial_id", "epoch", name="uq_mlg_epoch_trial_id_epoch"),
        sqlite_autoincrement=True,
        **MYSQL,
    )
    op.create_table(
        "mlg_lease",
        sa.Column("study_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("pid_started", sa.Double(), nullable=False),
        sa.Column("acquired_unix_s", sa.Double(), nullable=False),
        sa.Column("expires_unix_s", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["mlg_study.id"],
            name="fk_mlg_lease_study_id_mlg_study",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("study_id", name="pk_mlg_lease"),
        **MYSQL,
    )


def downgrade() -> None:
    for table in ("mlg_lease", "mlg_epoch", "mlg_trial", "mlg_study"):
        op.drop_table(table)

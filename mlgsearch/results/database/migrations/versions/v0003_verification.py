"""What `verify` finds: trials trained again under other seeds, and the teacher on the test part."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"

LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}


def upgrade() -> None:
    op.add_column("mlg_study", sa.Column("teacher_test_accuracy", sa.Double()))
    op.create_table(
        "mlg_verification",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("epochs_done", sa.Integer(), nullable=False),
        sa.Column("validation_accuracy", sa.Double()),
        sa.Column("test_accuracy", sa.Double()),
        sa.Column("packed_accuracy", sa.Double()),
        sa.Column("test_samples", sa.Integer()),
        sa.Column("packed_bytes", sa.BigInteger()),
        sa.Column("seconds", sa.Double()),
        sa.Column("versions", LONG_TEXT, nullable=False),
        sa.Column("error", LONG_TEXT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["trial_id"],
            ["mlg_trial.id"],
            name="fk_mlg_verification_trial_id_mlg_trial",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_mlg_verification"),
        sa.UniqueConstraint(
            "trial_id", "seed", "epochs", name="uq_mlg_verification_trial_id_seed_epochs"
        ),
        sqlite_autoincrement=True,
        **MYSQL,
    )


def downgrade() -> None:
    op.drop_table("mlg_verification")
    op.drop_column("mlg_study", "teacher_test_accuracy")

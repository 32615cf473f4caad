"""The hash of a study's data, and what changed since it began; studies from before know neither."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"

LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")


def upgrade() -> None:
    op.add_column("mlg_study", sa.Column("data_hash", sa.String(128)))
    op.add_column("mlg_study", sa.Column("lineage", LONG_TEXT))


def downgrade() -> None:
    op.drop_column("mlg_study", "lineage")
    op.drop_column("mlg_study", "data_hash")

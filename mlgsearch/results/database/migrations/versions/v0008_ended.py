"""Why a study ended before its total of trials; studies from before have no such rule."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"

LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")


def upgrade() -> None:
    op.add_column("mlg_study", sa.Column("ended", LONG_TEXT))


def downgrade() -> None:
    op.drop_column("mlg_study", "ended")

"""What of a study's network nothing compresses; studies from before do not say."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0008"

LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")


def upgrade() -> None:
    op.add_column("mlg_study", sa.Column("uncompressed", LONG_TEXT))


def downgrade() -> None:
    op.drop_column("mlg_study", "uncompressed")

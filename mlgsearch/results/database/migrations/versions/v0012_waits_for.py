"""What keeps a study's driver from training, such as that no node has room for a trial."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0012"
down_revision = "0011"

LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    op.add_column("mlg_lease", sa.Column("waits_for", LONG_TEXT))


def downgrade() -> None:
    op.drop_column("mlg_lease", "waits_for")

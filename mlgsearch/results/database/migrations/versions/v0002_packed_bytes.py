"""The size of a trial's packed file; trials from before have none."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("mlg_trial", sa.Column("packed_bytes", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("mlg_trial", "packed_bytes")

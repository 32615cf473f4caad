"""The latency that a study's table predicts of a trial's student."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("mlg_trial", sa.Column("latency_ms", sa.Double()))


def downgrade() -> None:
    op.drop_column("mlg_trial", "latency_ms")

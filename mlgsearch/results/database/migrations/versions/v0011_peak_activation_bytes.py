"""The most bytes of activations that a trial's student holds at once."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("mlg_trial", sa.Column("peak_activation_bytes", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("mlg_trial", "peak_activation_bytes")

"""A lease's process by the kernel's ticks and namespaces, not by a start on the wall clock."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("mlg_lease", sa.Column("process", sa.String(255)))


def downgrade() -> None:
    op.drop_column("mlg_lease", "process")

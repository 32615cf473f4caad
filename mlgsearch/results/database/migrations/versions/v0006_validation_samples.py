"""How many images a study's validation part has; studies from before do not say."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("mlg_study", sa.Column("validation_samples", sa.Integer()))


def downgrade() -> None:
    op.drop_column("mlg_study", "validation_samples")

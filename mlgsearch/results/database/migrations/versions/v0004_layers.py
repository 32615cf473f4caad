"""What a page shows of layers and plans; trials and studies from before have none."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"

LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
STUDY = ("hypervolume_reference", "layers", "planned")
TRIAL = ("layer_bits", "layer_damage")


def upgrade() -> None:
    for name in STUDY:
        op.add_column("mlg_study", sa.Column(name, LONG_TEXT))
    for name in TRIAL:
        op.add_column("mlg_trial", sa.Column(name, LONG_TEXT))


def downgrade() -> None:
    for name in TRIAL:
        op.drop_column("mlg_trial", name)
    for name in STUDY:
        op.drop_column("mlg_study", name)

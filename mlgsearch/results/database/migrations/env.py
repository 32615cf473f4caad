"""What Alembic runs; it only ever sees our own tables, because Optuna's are in the same database.

``mlgsearch.results.database.migrate`` calls it with a connection, whose transaction is the
caller's.
"""

from alembic import context

from mlgsearch.results.database.migrate import is_ours
from mlgsearch.results.database.schema import VERSION_TABLE
from mlgsearch.results.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=is_ours,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

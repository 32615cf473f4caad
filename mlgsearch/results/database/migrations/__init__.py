"""Alembic's environment for the ``mlg_`` tables; ``mlgsearch.results.database.migrate`` runs it."""

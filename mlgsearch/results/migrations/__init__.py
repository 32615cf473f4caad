"""Alembic's environment for the ``mlg_`` tables; ``mlgsearch.results.migrate`` runs it."""

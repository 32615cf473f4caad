"""Alembic's environment for the ``mlg_`` tables; ``mlgsearch.results.schema`` runs it."""

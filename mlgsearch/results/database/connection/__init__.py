"""Connections to a database: opened, bounded in time, and known when they fail."""

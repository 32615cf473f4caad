"""The search: which trial comes next, and what becomes of each."""

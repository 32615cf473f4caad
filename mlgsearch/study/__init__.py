"""A study's life: its specification, its searcher, its launch and resume."""

"""The study file: read, checked, and turned into a specification."""

"""The page of a study's layers."""

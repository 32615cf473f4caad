"""The page of all studies."""

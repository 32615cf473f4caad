"""Charts with a row for each layer."""

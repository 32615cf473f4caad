"""Writing to a database that may be unreachable, or held by another driver."""

"""The database: its tables and schema, leases and fences, and the stores that write records."""

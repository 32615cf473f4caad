"""Programs that use the library for tasks of their own."""

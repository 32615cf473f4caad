"""The table of the trials that a view leaves."""

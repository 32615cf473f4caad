"""Results on the terminal: tables, numbers, and commands to paste."""

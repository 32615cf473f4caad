"""Progress on the terminal: live, as lines, or as JSON events."""

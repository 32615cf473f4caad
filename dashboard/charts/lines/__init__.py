"""Lines that charts of trials share."""

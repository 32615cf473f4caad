"""What follows from the records: front, hypervolume, importance, expectation, choice."""

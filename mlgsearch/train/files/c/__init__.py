"""C programs: a student as a header of codes and a main that runs it."""

"""What places a trial: accuracy, size, and the part of both that is shown."""

"""The student: one trial's training, and its network once it is trained."""

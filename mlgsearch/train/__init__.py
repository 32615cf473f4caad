"""Data, teacher, student, distillation: one trial's training."""

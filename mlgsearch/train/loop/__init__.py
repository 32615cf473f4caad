"""What teacher and student share: epochs, optimiser, evaluation, checkpoints."""

"""What is worth trying, known before any training."""

"""What one layer loses at each setting, and how many bits that takes."""

"""How factors are stored: bits, entropy coding, and slots of a file."""

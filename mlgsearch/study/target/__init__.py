"""What a student costs on its target: layers timed, and tables written of them."""

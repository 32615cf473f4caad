"""A weight as factors: projected, trained, and multiplied again."""

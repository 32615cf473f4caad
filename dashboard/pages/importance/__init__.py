"""The page of the layers' importance."""

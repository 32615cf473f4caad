"""Charts that are written to files, with plotly."""

"""The web page over a database of studies; it loads neither torch, nor Ray, nor Optuna."""

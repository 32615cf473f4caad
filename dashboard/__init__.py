"""The web page over a database of studies; reads `mlgsearch.results`, never torch, ray or optuna."""

"""Tables, store, Pareto front and hypervolume; never torch, ray or optuna."""

"""Experiment trackers that a driver reports to: a study is an experiment, a trial is a run."""

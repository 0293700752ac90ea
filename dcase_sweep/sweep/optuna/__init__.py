"""Searches with Optuna, which can prune trials and continue after interruptions."""

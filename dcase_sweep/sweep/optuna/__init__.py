"""Searches: Optuna chooses what the next experiment is, prunes it, remembers it and goes on after an interruption."""

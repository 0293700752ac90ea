"""Sweeps of any Hydra application: every combination, or a search by Optuna.

This package knows Hydra and Optuna and nothing of sound, networks or trackers. An application says what it adds to its
sweeps in a class derived from `dcase_sweep.sweep.application.Application`.
"""

from dcase_sweep.sweep.reporting import ConstraintViolation, TrialPruned, report

__all__ = ["ConstraintViolation", "TrialPruned", "report"]

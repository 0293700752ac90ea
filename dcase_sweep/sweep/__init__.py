"""Sweeps of any Hydra application: a grid of all combinations, or a search with Optuna.

This package depends on Hydra and Optuna only, not on audio, networks or experiment trackers. An application extends its
sweeps by a subclass of `dcase_sweep.sweep.application.Application`.
"""

from dcase_sweep.sweep.reporting import ConstraintViolation, TrialPruned, report

__all__ = ["ConstraintViolation", "TrialPruned", "report"]

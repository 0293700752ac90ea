"""The sweepers, where Hydra looks for plugins: it registers the classes that are defined in this namespace."""

from dcase_sweep.application import sweepers


class GridSweeper(sweepers.GridSweeper):
    """``hydra/sweeper=grid`` of ``python -m dcase_sweep``."""


class OptunaSweeper(sweepers.OptunaSweeper):
    """``hydra/sweeper=optuna`` of ``python -m dcase_sweep``."""

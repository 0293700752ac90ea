"""The sweepers, where Hydra looks for plugins: it registers the classes that are defined in this namespace."""

from dcase_sweep.sweep import grid
from dcase_sweep.sweep.optuna import sweeper


class GridSweeper(grid.GridSweeper):
    """``hydra/sweeper=grid``."""


class OptunaSweeper(sweeper.OptunaSweeper):
    """``hydra/sweeper=optuna``."""

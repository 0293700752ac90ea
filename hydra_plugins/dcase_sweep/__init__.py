"""The sweepers and launchers as Hydra plugins: Hydra registers the classes that are defined in this namespace package.

Every Hydra application in the environment imports this module at start-up, so it must not import slow modules.
"""

from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.errors import CompactHydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin

from dcase_sweep.application import fused_launcher, sweepers
from dcase_sweep.sweep import ray_launcher
from dcase_sweep.sweep.optuna.sweeper import OptunaSweeper as AnyOptunaSweeper
from dcase_sweep.utils.errors import UserError, describe_os_error


class GridSweeper(sweepers.GridSweeper):
    """``hydra/sweeper=grid`` of ``python -m dcase_sweep``."""


class OptunaSweeper(sweepers.OptunaSweeper):
    """``hydra/sweeper=optuna`` of ``python -m dcase_sweep``."""


class SearchError(CompactHydraException):
    """Raised if a search was refused or ended too early. Hydra prints it in one line, with exit code 1."""


class OptunaWorkersSweeper(AnyOptunaSweeper):
    """``hydra/sweeper=optuna_workers`` for any Hydra application."""

    def sweep(self, arguments: list[str]) -> Any:
        """Search until there are enough trials, and return the study.

        Raises:
            SearchError: if the search was refused, or ended with too few trials, or a file could not be written.
            SystemExit: after Ctrl-C, SIGTERM or SIGHUP.
        """
        from dcase_sweep.utils.signals import Interrupted

        try:
            study = super().sweep(arguments)
        except Interrupted as interrupted:
            raise SystemExit(interrupted.exit_code) from None
        except UserError as error:
            raise SearchError(f"error: {error}") from None
        except OSError as error:  # for example of a full disk; errors of jobs do not arrive here
            described = describe_os_error(error)
            if described is None:
                raise
            raise SearchError(f"error: {described}") from None
        if self.failures:
            raise SearchError(f"error: {self.failures[0]}")
        return study


class RayLauncher(ray_launcher.RayLauncher):
    """``hydra/launcher=ray`` for any Hydra application."""


class FusedLauncher(fused_launcher.FusedLauncher):
    """``hydra/launcher=fused`` of ``python -m dcase_sweep``."""


class OptunaWorkersSearchPath(SearchPathPlugin):
    """Adds ``hydra/sweeper=optuna_workers`` and ``hydra/launcher=ray`` to every Hydra application."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folder, so that the application's own configuration comes first."""
        search_path.append(provider="dcase_sweep", path="pkg://dcase_sweep.sweep.conf")

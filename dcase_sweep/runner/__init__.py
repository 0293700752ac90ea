"""Execution of an experiment, from its configuration to its results in MLflow; see `execution.run`."""

from dcase_sweep.result import Result
from dcase_sweep.runner.execution import run
from dcase_sweep.runner.job import Job

__all__ = ["Job", "Result", "run"]

"""Runs in MLflow; the only package that imports it."""

from dcase_sweep.tracking.delivery import send_unsent
from dcase_sweep.tracking.finding import NOTE, FinishedRun, LoggedRun, end_run, find_finished, find_ids, find_run
from dcase_sweep.tracking.frames import runs_frame
from dcase_sweep.tracking.listing import ListedRun, list_runs, runs_table
from dcase_sweep.tracking.loggers import (
    AnyRun,
    MultiLoggerRun,
    UntrackedRun,
    build_loggers,
    check_loggers,
    logs_to_mlflow,
)
from dcase_sweep.tracking.models import ModelPackage, fetch_model
from dcase_sweep.tracking.names import legal_name
from dcase_sweep.tracking.owners import OpenRun, close_dead_runs, open_runs
from dcase_sweep.tracking.run import Run
from dcase_sweep.tracking.spool import find_unsent
from dcase_sweep.tracking.starting import CONTINUED, SEEDS, SIGNATURE, TRIAL, check_parent, has_run, start_run
from dcase_sweep.tracking.stores import (
    Store,
    check_store,
    is_local,
    is_there,
    local_uri,
    open_store,
    opened_stores,
    resolve_uri,
)

__all__ = [
    "CONTINUED",
    "NOTE",
    "SEEDS",
    "SIGNATURE",
    "TRIAL",
    "AnyRun",
    "FinishedRun",
    "ListedRun",
    "LoggedRun",
    "ModelPackage",
    "MultiLoggerRun",
    "OpenRun",
    "Run",
    "Store",
    "UntrackedRun",
    "build_loggers",
    "check_loggers",
    "check_parent",
    "check_store",
    "close_dead_runs",
    "end_run",
    "fetch_model",
    "find_finished",
    "find_ids",
    "find_run",
    "find_unsent",
    "has_run",
    "is_local",
    "is_there",
    "legal_name",
    "list_runs",
    "local_uri",
    "logs_to_mlflow",
    "open_runs",
    "open_store",
    "opened_stores",
    "resolve_uri",
    "runs_frame",
    "runs_table",
    "send_unsent",
    "start_run",
]

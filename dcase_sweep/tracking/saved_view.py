"""The view of MLflow's list of runs in which scene and event runs are side by side, and the addresses of its pages."""

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

#: MLflow's page shows the view of the experiment's tag PREFIX + KEY for an address with ``viewStateShareKey=KEY``.
#: Versions that know no saved views ignore both, and show their own columns.
PREFIX, KEY = "mlflow.sharedViewState.", "dcase"
#: Number of characters of the id of a sweep's run that are the key of its view.
_KEY_LENGTH = 8
#: Another name of ``attributes.start_time``, by which MLflow's page folds the jobs of a sweep into one row. The page
#: does not know this name, and shows what is between the backticks: "Sort: Created".
_NEWEST_FIRST = "attributes.`Created`"
#: Where ``mlflow ui`` serves its page if nothing else is asked for.
_LOCAL_PAGE = "http://127.0.0.1:5000"

#: The metrics that every run is compared by, in the order of the columns. Accuracy and log loss are those of scenes,
#: PSDS those of events; all others are of both tasks.
HEADLINE_METRICS = (
    "test/accuracy",
    "test/log_loss",
    "test/psds1",
    "test/psds2",
    "test/f1",
    "complexity/parameters",
    "complexity/nonzero_kib_16bit",
    "complexity/mmac_per_clip",
    "energy/training_kwh",
    "best/epoch",
    "time/training_seconds",
)
#: What was chosen, shown before the metrics.
_PARAMETERS = ("task", "model", "data", "seed")
_WIDTHS = {"task": 62, "model": 130, "data": 84, "seed": 58}
#: The column of names, wide enough to tell the trials of a search apart by the end of their names.
_NAME, _NAME_WIDTH = "attributes.`Run Name`", 330
#: Width in pixels of a letter in a title, and of the symbols next to a title.
_LETTER, _BESIDE = 7, 30
#: MLflow's pages for training; without it they are those for language models until the reader changes that.
_WORKFLOW = "workflowType=machine_learning"


def make_view(*, search: str | None = None) -> str:
    """The tag's value: the chosen columns, their order and widths, the newest run first.

    Args:
        search: a filter in MLflow's language; None = as the reader has it.
    """
    parameters = [f"params.`{name}`" for name in _PARAMETERS]
    columns = [*parameters, *(f"metrics.`{name}`" for name in HEADLINE_METRICS)]
    widths = {column: _WIDTHS[name] for column, name in zip(parameters, _PARAMETERS, strict=True)}
    widths |= {f"metrics.`{name}`": _LETTER * len(name) + _BESIDE for name in HEADLINE_METRICS}
    state: dict[str, Any] = {
        "orderByKey": _NEWEST_FIRST,
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [_NAME, *columns, "runDateAndNestInfo", "duration"],
        "columnWidths": {_NAME: _NAME_WIDTH, **widths},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "FIRST_10_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
    if search is not None:
        state["searchFilter"] = search
    return json.dumps(state, separators=(",", ":"))


def save_view(client: "MlflowClient", experiment_id: str, tags: Mapping[str, str]) -> bool:
    """Write the view of all runs to the experiment, unless it is there; False if the store does not take it.

    Args:
        client: client of the store.
        experiment_id: ID of the experiment.
        tags: the tags of the experiment.
    """
    view = make_view()
    return tags.get(PREFIX + KEY) == view or _write(client, experiment_id, KEY, view)


def save_sweep_view(client: "MlflowClient", experiment_id: str, parent: str) -> bool:
    """Write a view of the jobs of one sweep; False if the store does not take it.

    Args:
        client: client of the store.
        experiment_id: ID of the experiment.
        parent: the id of the sweep's run.
    """
    view = make_view(search=f"tags.mlflow.parentRunId = '{parent}'")
    return _write(client, experiment_id, parent[:_KEY_LENGTH], view)


def _write(client: "MlflowClient", experiment_id: str, key: str, view: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        client.set_experiment_tag(experiment_id, PREFIX + key, view)
    except MlflowException as error:  # a server may not let this user change the experiment
        log.debug(f"no saved view: {error}")
        return False
    return True


def link_to_runs(uri: str, experiment_id: str, *, has_view: bool, parent: str | None = None) -> str:
    """The address of the list of runs in the saved view.

    Args:
        uri: URI of the store without a password.
        experiment_id: ID of the experiment.
        has_view: whether the experiment has the view; without it the page has MLflow's own columns.
        parent: the id of a sweep's run, to list its jobs alone; None = all runs.
    """
    key = KEY if parent is None else parent[:_KEY_LENGTH]
    view = f"viewStateShareKey={key}&" if has_view else ""
    return f"{_page(uri)}/#/experiments/{experiment_id}/runs?{view}{_WORKFLOW}"


def link_to_run(uri: str, experiment_id: str, run_id: str) -> str:
    """The address of the page of one run."""
    return f"{_page(uri)}/#/experiments/{experiment_id}/runs/{run_id}?{_WORKFLOW}"


def _page(uri: str) -> str:
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else _LOCAL_PAGE

"""The metrics that a search may optimize or limit: they are checked before the first trial as far as they are known."""

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase

from dcase_sweep.config import Experiment, get_monitor
from dcase_sweep.config.task import locate_task
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: The metrics of a run of any task, as patterns.
_COMMON = (
    *("complexity/parameters", "complexity/nonzero_parameters", "complexity/mmac_per_clip", "complexity/latency_ms"),
    *(f"complexity/{name}_kib_{bits}bit" for name in ("size", "nonzero", "peak_activation") for bits in (8, 16, 32)),
    *(
        "complexity/within_*_kb",
        "compression/accuracy_*",
        "compression/log_loss_*",
        "energy/*_kwh",
        "energy/*_kg_co2eq",
    ),
    *("time/training_seconds", "time/evaluation_seconds"),
)
_BEST = "best/"


def check_names(key: str, metrics: Iterable[str], experiment: Experiment) -> None:
    """Check that a finished run will have these metrics.

    The metrics of a task or a learner outside the package are only known after a run, except ``best/...``.

    Args:
        key: the key that names the metrics.
        metrics: names of metrics.
        experiment: the experiment common to all trials.

    Raises:
        UserError: for a metric that no run has, with the nearest ones.
    """
    best = [f"{_BEST}{get_monitor(experiment).metric}", f"{_BEST}epoch"]
    own = _list_own(experiment)
    for metric in metrics:
        if metric.startswith(_BEST):
            if metric not in best:
                raise UserError(
                    f"{key}={printable(metric, 100)}: no such metric of a run; expected {best[0]} (task.monitor "
                    f"chooses another metric of the best epoch) or {best[1]}"
                )
        elif own and not any(fnmatchcase(metric, pattern) for pattern in own):
            names = [*best, *(pattern for pattern in own if "*" not in pattern)]
            near = difflib.get_close_matches(metric, names, n=3, cutoff=0.3) or names[:3]
            raise UserError(
                f"{key}={printable(metric, 100)}: no such metric of a run; the nearest are {', '.join(near)}"
            )


def _list_own(experiment: Experiment) -> list[str]:
    """Return patterns of all metrics of a run without ``best/...``; empty if they are not known."""
    declared = vars(locate_task(experiment.task._target_)).get("metrics")
    if not declared or experiment.task.learner is not None:
        return []
    extra = [f"test/{name}{more}" for name in experiment.metrics for more in ("", "_*")]
    of_networks = [f"test/*/{name}{more}" for name in experiment.metrics for more in ("", "_*")]
    return [*declared, *extra, *of_networks, *_COMMON]

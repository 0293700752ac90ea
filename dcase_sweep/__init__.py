"""Experiment sweeps for DCASE: acoustic scene classification (task 1A) and sound event detection (task 4).

The functions of the Python API are imported at their first use, so that ``import dcase_sweep`` is fast:

    experiment = dcase_sweep.compose(["model=cnn5", "training.epochs=20"])
    result = dcase_sweep.run(experiment)
    dcase_sweep.load_run(result.folder).predict("clip.wav")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcase_sweep.api.experiments import Experiment, compose, run
    from dcase_sweep.api.results import evaluate_events, evaluate_scenes, runs
    from dcase_sweep.api.trained import EventPrediction, ScenePrediction, TagPrediction, TrainedModel, load_run
    from dcase_sweep.data.download.job import DownloadResult, download
    from dcase_sweep.result import Result
    from dcase_sweep.utils.errors import UserError

__version__ = "0.1.0"

__all__ = [
    "DownloadResult",
    "EventPrediction",
    "Experiment",
    "Result",
    "ScenePrediction",
    "TagPrediction",
    "TrainedModel",
    "UserError",
    "__version__",
    "compose",
    "download",
    "evaluate_events",
    "evaluate_scenes",
    "load_run",
    "run",
    "runs",
]

_MODULES = {
    "DownloadResult": "data.download.job",
    "EventPrediction": "api.trained",
    "Experiment": "api.experiments",
    "Result": "result",
    "ScenePrediction": "api.trained",
    "TagPrediction": "api.trained",
    "TrainedModel": "api.trained",
    "UserError": "utils.errors",
    "compose": "api.experiments",
    "download": "data.download.job",
    "evaluate_events": "api.results",
    "evaluate_scenes": "api.results",
    "load_run": "api.trained",
    "run": "api.experiments",
    "runs": "api.results",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

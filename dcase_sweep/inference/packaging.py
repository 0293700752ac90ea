"""The MLflow model of a run."""

import io
import wave
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from dcase_sweep.config import Experiment, build_front_end, locate_task
from dcase_sweep.config.sources import list_installed, list_sources
from dcase_sweep.inference.tables import columns
from dcase_sweep.tracking import ModelPackage

_LOADER = "dcase_sweep.inference.served"
_PACKAGE = "dcase-sweep"
#: Packages that affect predictions. The package itself accepts wider ranges of versions.
_REQUIRED = ("mlflow", "numpy", "omegaconf", "hydra-core", "pandas", "scipy", "soundfile", "soxr", "torch")
#: The components that predictions need.
_COMPONENTS = ("task", "model", "front_end")
_EXAMPLE_RATE, _EXAMPLE_SECONDS, _EXAMPLE_HERTZ = 8_000, 0.1, 440.0


def package_model(experiment: Experiment, checkpoint: Path, classes: tuple[str, ...]) -> ModelPackage:
    """Describe the MLflow model of a trained network.

    Args:
        experiment: the experiment that trained the network.
        checkpoint: checkpoint of the best epoch.
        classes: class labels in the order of the outputs.

    Raises:
        UserError: if the predictions of the user's own component cannot be written as a table.
    """
    from dcase_sweep.inference import served

    targets = {f"{group}._target_": getattr(experiment, group)._target_ for group in _COMPONENTS}
    kind = locate_task(experiment.task._target_).prediction
    if kind is None or not all(target.startswith("dcase_sweep.") for target in targets.values()):
        kind = _try(checkpoint, experiment)
    outputs = {served.ROW: "whole"}
    for name in columns(kind, classes):
        outputs[name] = "text" if name in kind.columns else "number"
    front_end = build_front_end(experiment)
    installed = {
        **list_installed(targets),
        **{name: metadata.version(name) for name in getattr(front_end, "packages", ())},
    }
    return ModelPackage(
        loader=_LOADER,
        checkpoint=checkpoint,
        inputs={served.AUDIO: "bytes", served.WAVEFORM: "doubles", served.SAMPLE_RATE: "whole"},
        outputs=outputs,
        parameters=served.PARAMETERS,
        example=_example(),
        requirements=_pin(installed),
        code=list_sources(targets),
    )


def _try(checkpoint: Path, experiment: Experiment) -> Any:
    """Make a prediction with components from outside this package, and return its class."""
    from dcase_sweep.inference.loading import load_trusted_checkpoint
    from dcase_sweep.inference.tables import check_prediction

    model = load_trusted_checkpoint(checkpoint)
    return type(check_prediction(model.predict(_tone(), _EXAMPLE_RATE), experiment.task.name))


@cache
def _find_versions() -> dict[str, str]:
    """Return the installed versions of the required packages, which are looked for in all folders of the path."""
    return {name: metadata.version(name) for name in (_PACKAGE, *_REQUIRED)}


def _pin(more: dict[str, str]) -> tuple[str, ...]:
    """Return requirements with the installed versions, without local labels such as ``+cpu``."""
    versions = _find_versions() | more
    return tuple(f"{name}=={version.partition('+')[0]}" for name, version in versions.items())


def _tone() -> Any:
    time = np.arange(round(_EXAMPLE_RATE * _EXAMPLE_SECONDS)) / _EXAMPLE_RATE
    return 0.1 * np.sin(2 * np.pi * _EXAMPLE_HERTZ * time)


def _example() -> bytes:
    """Return a short WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as handle:
        handle.setnchannels(1)
        handle.setsampwidth(2)
        handle.setframerate(_EXAMPLE_RATE)
        handle.writeframes((_tone() * 32_767).astype("<i2").tobytes())
    return file.getvalue()

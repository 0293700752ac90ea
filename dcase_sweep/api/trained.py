"""Trained networks of finished runs, ready to be asked about a recording."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from dcase_sweep.audio.front_end import FrontEnd
from dcase_sweep.audio.reading import AudioProblem, fit_waveform, read_waveform
from dcase_sweep.config import Experiment as Settings
from dcase_sweep.config import Tracking, build_front_end, build_task
from dcase_sweep.tasks.prediction import EventPrediction, ScenePrediction
from dcase_sweep.tasks.protocols import Predictor
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

if TYPE_CHECKING:
    from torch import Tensor, nn

#: How a command line names a class of the user's own.
_ADD_TARGET = re.compile(r"add (\w+)\._target_=(\S+)")

__all__ = ["EventPrediction", "ScenePrediction", "TrainedModel", "load_run"]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A trained network with all that it takes to use it.

    Attributes:
        run_id: in MLflow; None where the run is not logged there.
        name: of the model's choice: ``cnn5``.
        classes: in the order of the network's outputs.
        metrics: of the run, by their names: ``test/accuracy``; none where the store does not have the run.
        network: features ``[batch, mel, frame]`` of the front end → outputs of its task, in evaluation mode. A scene
            classifier's are probabilities ``[batch, class]``; an event detector's are those of frames and of clips.
        front_end: waveforms ``[batch, sample]`` → features ``[batch, mel, frame]``.
        settings: the configuration of the training.
    """

    run_id: str | None
    name: str
    classes: tuple[str, ...]
    metrics: dict[str, float] = field(repr=False)
    network: "nn.Module" = field(repr=False)
    front_end: FrontEnd = field(repr=False)
    settings: Settings = field(repr=False)
    _predictor: Predictor = field(repr=False)

    def features(self, clip: str | Path | ArrayLike, *, sample_rate: int | None = None) -> "Tensor":
        """What the network is given of a clip: ``[1, mel, frame]``.

        Args:
            clip: an audio file, or a mono waveform ``[sample]`` with full scale 1. A longer one is cut to the length of
                the training's clips, a shorter one extended as in training.
            sample_rate: Hz, of a waveform; a file says its own.

        Raises:
            UserError: in one line, for a recording that cannot be used.
        """
        import torch

        wanted: Any = {name: getattr(self.front_end, name) for name in ("sample_rate", "seconds", "padding")}
        try:
            if isinstance(clip, str | Path):
                samples = read_waveform(Path(clip), **wanted).samples
            else:
                samples = fit_waveform(*_as_waveform(clip, sample_rate), **wanted).samples
        except AudioProblem as problem:
            name = printable(clip) if isinstance(clip, str | Path) else "waveform"
            raise UserError(f"{name}: {problem}") from None
        with torch.inference_mode():
            features: Tensor = self.front_end(torch.from_numpy(np.ascontiguousarray(samples))[None])
        return features

    def predict(
        self, clip: str | Path | ArrayLike, *, sample_rate: int | None = None
    ) -> "ScenePrediction | EventPrediction | Any":
        """What the network says of a clip.

        Args:
            clip: as of `features`.
            sample_rate: likewise.

        Returns:
            A `ScenePrediction` or an `EventPrediction`; of a task outside this package what its predictor returns.

        Raises:
            UserError: in one line, for a recording that cannot be used.
        """
        return self._predictor(self.features(clip, sample_rate=sample_rate))


def _as_waveform(clip: ArrayLike, sample_rate: int | None) -> tuple[np.ndarray, int]:
    samples = np.asarray(clip)
    if samples.ndim != 1 or not len(samples) or samples.dtype.kind not in "fiu":
        raise UserError(f"waveform: {samples.dtype} {list(samples.shape)}; expected numbers [sample], one channel")
    if samples.dtype.kind in "iu":
        raise UserError(f"waveform: whole numbers ({samples.dtype}); expected full scale at 1.0: divide by its maximum")
    if sample_rate is None or sample_rate <= 0:
        raise UserError(f"sample_rate={sample_rate}: expected the waveform's, in Hz")
    return samples.astype(np.float32, copy=False), int(sample_rate)


def load_run(
    run: str | Path,
    *,
    classes: Sequence[str] | None = None,
    targets: Mapping[str, str] | None = None,
    tracking_uri: str | None = None,
    folder: str | Path = "mlruns",
) -> TrainedModel:
    """The network of a finished run with the weights of its best epoch; of a mean teacher it is the student.

    A checkpoint is not trusted: it names no code outside this package and no place to read from.

    Args:
        run: its id in MLflow, its folder ``outputs/DATE/TIME``, or a checkpoint file.
        classes: names in the order of the network's outputs; needed for runs of versions that did not keep them.
        targets: classes of your own that the run was trained with, by their groups: ``{"model": "my_models.Net"}``.
        tracking_uri: of the store of runs; None = MLFLOW_TRACKING_URI where it is set, else the one in the folder.
        folder: of a local store of runs.

    Raises:
        UserError: in one line, for an unknown or unfinished run, or a checkpoint that cannot be used.
    """
    from dcase_sweep.export.runs import read_run
    from dcase_sweep.training.trained import restore_network

    found = read_run(str(run), Tracking(uri=tracking_uri, folder=str(folder)))
    named = {f"{group}._target_": target for group, target in (targets or {}).items()}
    try:
        trained = restore_network(found.checkpoint, where=found.where, named=named)
    except UserError as error:  # which says how a command line names a class
        raise UserError(_ADD_TARGET.sub(r'add targets={"\1": "\2"}', str(error))) from None
    names = tuple(classes) if classes is not None else found.checkpoint.classes
    if names is None:
        raise UserError(
            f"{found.where}: does not name its {trained.classes} classes; expected classes=[...] in their order"
        )
    if len(names) != trained.classes:
        raise UserError(f"{found.where}: {len(names)} names of classes; expected {trained.classes}, as its network has")
    predictor = build_task(trained.experiment).make_predictor(
        trained.experiment, trained.network, trained.state, names, where=found.where
    )
    return TrainedModel(
        run_id=found.logged.id if found.logged else found.checkpoint.run_id,
        name=found.checkpoint.choices.get("model", "model"),
        classes=names,
        metrics=dict(found.logged.metrics) if found.logged else {},
        network=predictor.network,
        front_end=build_front_end(trained.experiment),
        settings=trained.experiment,
        _predictor=predictor,
    )

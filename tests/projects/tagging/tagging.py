"""Audio tagging: which of several sounds are heard in a clip, evaluated by mean average precision.

A task that the package does not have: its data, its training and its evaluation.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, seed_everything
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from dcase_sweep.complexity.layers import Layer, list_layers
from dcase_sweep.config import Experiment, build_metrics, build_model, get_monitor
from dcase_sweep.evaluation.metrics import MeanAveragePrecision, compute_metrics
from dcase_sweep.evaluation.result import EvaluationResult
from dcase_sweep.result import Column
from dcase_sweep.tasks.base import Task
from dcase_sweep.tasks.predictors import ClipPredictor
from dcase_sweep.training.fitting import Fitted, fit
from dcase_sweep.training.optimization import Optimization

TONES = {"high": 2000.0, "low": 250.0, "middle": 700.0}  # Hz


@dataclass(frozen=True)
class TagData:
    """Clips, each with any number of tags, and three splits of them."""

    name: str
    root: Path
    filenames: tuple[str, ...]
    classes: tuple[str, ...]
    targets: NDArray[np.int64]  # [clip, class]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    is_synthetic: bool = True

    @property
    def description(self) -> str:
        return f"{self.name}: {len(self.train)} train, {len(self.validation)} validation, {len(self.test)} test clips"

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.targets.tobytes() + "\n".join(self.filenames).encode()).hexdigest()[:16]

    def drop_invalid(self, valid: NDArray[np.bool_]) -> "TagData":
        mask = np.asarray(valid)
        splits = {name: getattr(self, name) for name in ("train", "validation", "test")}
        return replace(self, **{name: rows[mask[rows]] for name, rows in splits.items()})


class TaggedTones:
    """Generated clips of one second: noise and any of three tones."""

    kind = "tags"

    def __init__(self, *, name: str, root: str, clips: int = 60, sample_rate: int = 16_000) -> None:
        self.name, self.root, self.clips, self.sample_rate = name, Path(root) / "tones", clips, sample_rate
        self.targets = np.random.default_rng(1).integers(0, 2, (clips, len(TONES)))
        self.filenames = tuple(f"{index}.wav" for index in range(clips))

    def prepare(self, on_progress: Callable[[int, int], None]) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        rng, time = np.random.default_rng(2), np.arange(self.sample_rate) / self.sample_rate
        tones = np.stack([np.sin(2 * np.pi * hertz * time) for hertz in TONES.values()])
        for index, name in enumerate(self.filenames):
            samples = 0.1 * self.targets[index] @ tones + 0.01 * rng.standard_normal(len(time))
            soundfile.write(self.root / name, samples, self.sample_rate)
            on_progress(index + 1, self.clips)

    def load(self, *, check: Callable[[Path, Sequence[str]], list[str]] | None = None) -> TagData:
        train, validation, test = np.split(np.arange(self.clips), [self.clips // 2, 3 * self.clips // 4])
        return TagData(self.name, self.root, self.filenames, tuple(TONES), self.targets, train, validation, test)


class TaggingModule(LightningModule):
    """A network trained with binary cross-entropy."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, mean: float, std: float, experiment: Experiment, optimization: Optimization
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean))  # saved with the weights
        self.register_buffer("std", torch.tensor(std))
        self.optimization, self.metrics = optimization, build_metrics(experiment)
        self.evaluated: list[tuple[Tensor, Tensor]] = []

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.network((features - self.mean) / self.std)
        return logits

    def configure_optimizers(self) -> Any:
        return self.optimization.configure(self.network.parameters())

    def training_step(self, batch: tuple[Tensor, Tensor], position: int) -> Tensor:
        features, targets = batch
        loss = nn.functional.binary_cross_entropy_with_logits(self(features), targets)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(features))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], position: int) -> None:
        self.evaluated.append((torch.sigmoid(self(batch[0]).float()), batch[1]))

    def on_validation_epoch_end(self) -> None:
        scores, targets = (torch.cat(parts).cpu().numpy() for parts in zip(*self.evaluated, strict=True))
        self.evaluated.clear()
        metrics = {"map": MeanAveragePrecision(), **self.metrics}
        self.log_dict(compute_metrics(metrics, scores, targets.astype(int), "validation/"))


class TaggingLearner:
    """Trains on stored features ``[clip, mel, frame]``."""

    def __init__(self, experiment: Experiment, data: TagData, features: NDArray[np.float32]) -> None:
        self.experiment, self.data = experiment, data
        self.features = torch.from_numpy(np.array(features))
        seed_everything(experiment.seed, verbose=False)
        network = build_model(experiment, classes=len(data.classes))
        train = self.features[data.train]
        assert experiment.training.batch_size is not None
        optimization = Optimization.of(experiment, steps_per_epoch=-(-len(train) // experiment.training.batch_size))
        self.module = TaggingModule(network, float(train.mean()), float(train.std()), experiment, optimization)

    @property
    def clips_per_epoch(self) -> int:
        return len(self.data.train)

    def layers(self) -> list[Layer]:
        return list_layers(self.module.network, (self.features.shape[1], self.features.shape[2]))

    def headline(self, metrics: dict[str, float]) -> str:
        return f"loss {metrics['train/loss']:.3f}, validation mAP {metrics['validation/map']:.3f}"

    def fit(
        self,
        folder: Path,
        *,
        extra: dict[str, Any],
        on_epoch: Callable[[int, dict[str, float]], None],
        on_batch: Callable[[int], None] | None = None,
        resume: Path | None = None,
    ) -> Fitted:
        return fit(
            self.module,
            self._batches(self.data.train, shuffle=True),
            self._batches(self.data.validation),
            self.experiment,
            folder,
            monitor=get_monitor(self.experiment),
            extra=extra,
            on_epoch=on_epoch,
            resume=resume,
        )

    def predict(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return torch.sigmoid(self.module.eval()(self.features[rows])).numpy()

    def _batches(self, rows: NDArray[np.int64], shuffle: bool = False) -> DataLoader[Any]:
        targets = torch.from_numpy(self.data.targets[rows]).float()
        clips = TensorDataset(self.features[rows], targets)
        return DataLoader(clips, self.experiment.training.batch_size, shuffle=shuffle)


class Scale(nn.Module):
    """Features as the training scaled them."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.std


class AudioTagging(Task):
    """Any number of tags for each clip.

    Args:
        threshold: of the score above which a tag counts as detected in the table.
    """

    kind: ClassVar[str] = "tags"
    model_kinds: ClassVar[tuple[str, ...]] = ("scenes",)  # networks for scenes return logits [batch, class] too
    data_type: ClassVar[type] = TagData
    learners: ClassVar[Mapping[str, str]] = {"torch": "tagging.TaggingLearner"}
    monitor: ClassVar[str] = "validation/map"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("test/map", "mAP"),
        Column("best/validation/map", "validation mAP"),
    )

    def __init__(self, *, name: str, title: str, threshold: float = 0.5) -> None:
        super().__init__(name=name, title=title)
        if not 0 < threshold < 1:
            raise ValueError(f"threshold={threshold}: expected a number between 0 and 1")
        self.threshold = threshold

    def evaluate(self, experiment: Experiment, data: TagData, learner: Any, features: Any) -> EvaluationResult:
        scores, targets = learner.predict(data.test), data.targets[data.test]
        metrics = {"map": MeanAveragePrecision(), **build_metrics(experiment)}
        values = compute_metrics(metrics, scores, targets, "test/")
        rows = [f"{name.removeprefix('test/')}: {value:.4f}" for name, value in values.items()]
        counts = (scores > self.threshold).sum(axis=0)
        rows += [f"{tag}: detected in {count} clips" for tag, count in zip(data.classes, counts, strict=True)]
        table = "\n".join(rows)
        return EvaluationResult(values, table, {"tags.txt": table + "\n"})

    def make_predictor(
        self,
        experiment: Experiment,
        network: nn.Module,
        state: Mapping[str, Tensor],
        classes: Sequence[str],
        *,
        where: str,
    ) -> ClipPredictor:
        whole = nn.Sequential(Scale(state["mean"], state["std"]), network, nn.Sigmoid())
        return ClipPredictor(whole, classes, seconds=experiment.data.seconds, threshold=self.threshold)

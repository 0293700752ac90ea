"""The training step of a scene classifier."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dcase_sweep.evaluation.metrics import Metric, compute_metrics
from dcase_sweep.training.augmentation.base import Augmentation, apply_all
from dcase_sweep.training.optimization import Optimization
from dcase_sweep.training.step_graph import StepValues
from dcase_sweep.training.step_module import StepModule
from dcase_sweep.training.waveforms import WaveformInput


class SceneModule(StepModule):
    """Trains a network on labelled clips, with normalisation of each mel band.

    Args:
        network: ``[batch, mel, frame]`` → logits ``[batch, class]``.
        mean: mean of each mel band over the training split ``[mel]``; saved with the weights.
        deviation: standard deviation of each mel band ``[mel]``, likewise.
        loss: logits ``[batch, class]`` and targets → loss; targets are class indices ``[batch]``, or probabilities
            ``[batch, class]`` if an augmentation has changed them.
        augmentations: augmentations of training batches, in this order.
        waveforms: computes the features of training batches from waveforms; None = batches have them.
        seed: seed of the random numbers. Each epoch derives its own from it and the number of the epoch, so that a
            resumed run uses the same random numbers as an uninterrupted one.
        metrics: metrics of the validation clips after each epoch, in addition to loss and accuracy.
        call: replaces the call of the network in training and validation, for example by fake quantisation.
    """

    can_join = True
    can_stack = True

    def __init__(
        self,
        network: nn.Module,
        *,
        classes: int,
        mean: Tensor,
        deviation: Tensor,
        optimization: Optimization,
        loss: Callable[[Tensor, Tensor], Tensor],
        seed: int,
        augmentations: Sequence[Augmentation] = (),
        waveforms: WaveformInput | None = None,
        metrics: Mapping[str, Metric] | None = None,
        call: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(seed)
        self.network = network
        self.call = network.__call__ if call is None else call
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", mean[:, None])
        self.register_buffer("deviation", deviation[:, None])
        self.classes = classes
        self.optimization = optimization
        self.loss = loss
        self.augmentations = augmentations
        self.waveforms = waveforms
        self.metrics = dict(metrics or {})
        self._validated: list[tuple[Tensor, Tensor]] = []

    def forward(self, features: Tensor) -> Tensor:
        """Compute logits ``[batch, class]`` for features ``[batch, mel, frame]``."""
        logits: Tensor = self.call((features - self.mean) / self.deviation)
        return logits

    def configure_optimizers(self) -> Any:
        return self.optimization.configure(self.network.parameters())

    def _augmented(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return normalised and augmented features, and targets, which an augmentation may turn into probabilities."""
        if self.waveforms is None and not self.augmentations:
            return (features - self.mean) / self.deviation, targets
        probabilities = changed = functional.one_hot(targets, self.classes).float()
        if self.waveforms is not None:
            features, changed = self.waveforms(features, changed, self.rng)
        features = (features - self.mean) / self.deviation
        features, changed = apply_all(self.augmentations, features, changed, self.rng)
        return features, targets if changed is probabilities else changed

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return (self.network,)

    def has_own_calls(self) -> bool:
        return self.call != self.network.__call__

    def prepare(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        return self._augmented(*batch)

    def compute(self, *inputs: Tensor, **numbers: Any) -> StepValues:
        return self.compute_by(self.call, *inputs)

    def compute_by(self, call: Callable[[Tensor], Tensor], *inputs: Tensor) -> StepValues:
        features, targets = inputs
        loss = self.loss(call(features).float(), targets)
        return StepValues(loss, loss.detach().float().reshape(1))

    def validation_step(self, batch: tuple[Tensor, Tensor], position: int) -> None:
        features, targets = batch
        self._validated.append((self(features).float(), targets))

    def on_validation_epoch_end(self) -> None:
        logits = torch.cat([logits for logits, _ in self._validated])
        targets = torch.cat([targets for _, targets in self._validated])
        self._validated.clear()
        self.log_means()
        accuracy = (logits.argmax(dim=1) == targets).float().mean()
        loss, correct = torch.stack([self.loss(logits, targets).float(), accuracy]).tolist()
        self.log_values({"validation/loss": loss, "validation/accuracy": correct})
        if self.metrics:
            scores = torch.softmax(logits, dim=1).cpu().numpy()
            self.log_values(compute_metrics(self.metrics, scores, targets.cpu().numpy(), "validation/"))

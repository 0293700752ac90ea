"""The optimizers of the recipe in Keras, with the weight decay that PyTorch's of the same name have."""

from typing import Any

from dcase_sweep.config import Optimizer
from dcase_sweep.training.keras.loaded import keras


def make_optimizer(settings: Optimizer, *, schedule: str, steps: int) -> Any:
    """The optimizer of a training of so many steps.

    ``adam`` and ``sgd`` add ``weight_decay`` times the weights to the gradient, ``adamw`` takes it from the weights,
    as in PyTorch. Adam's ``eps`` is as Keras has it, beside a root that is not corrected for its beginning (Kingma &
    Ba, 2015, end of section 2).

    Args:
        schedule: ``constant``, or ``cosine`` down to 0 at the last step.
    """
    rate: Any = settings.lr
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(settings.lr, steps)
    if settings.name == "adamw":
        return keras.optimizers.AdamW(rate, epsilon=settings.eps, weight_decay=settings.weight_decay)
    if settings.name == "sgd":
        return MomentumSGD(rate, momentum=0.9, l2=settings.weight_decay)
    return L2Adam(rate, epsilon=settings.eps, l2=settings.weight_decay)


class _L2:
    """Adds ``l2`` times each weight to its gradient; Keras' own ``weight_decay`` would bypass the gradient."""

    def __init__(self, *arguments: Any, l2: float, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.l2 = l2

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        """One step."""
        if self.l2 and trainable_variables is not None:
            trainable_variables = list(trainable_variables)
            grads = [
                gradient + self.l2 * variable.value
                for gradient, variable in zip(grads, trainable_variables, strict=True)
            ]
        return super().apply(grads, trainable_variables)  # type: ignore[misc]


class L2Adam(_L2, keras.optimizers.Adam):
    """Adam with weight decay in the gradient."""


class MomentumSGD(_L2, keras.optimizers.SGD):
    """Momentum that sums gradients, as PyTorch's does; Keras' sums steps, of whatever learning rate they were."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable."""
        momentum = self.momentums[self._get_variable_index(variable)]
        self.assign(momentum, self.momentum * momentum + gradient)
        self.assign_sub(variable, learning_rate * momentum)

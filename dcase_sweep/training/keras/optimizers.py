"""The optimizers of the recipe in Keras, with weight decay as in PyTorch's optimizers of the same name."""

from typing import Any

from dcase_sweep.training.keras.loaded import keras
from dcase_sweep.training.keras.recipes import COSINE


def make_optimizer(settings: Any, scheduler: Any, *, steps: int) -> Any:
    """Create the optimizer for a training with this number of steps.

    Adam and SGD add ``weight_decay`` times the weights to the gradient, and AdamW subtracts it from the weights, as in
    PyTorch. Adam's ``eps`` is defined as in Keras: it is added to the root without bias correction (Kingma & Ba, 2015,
    end of section 2).

    Args:
        settings: the typed group ``optimizer``, accepted by `recipes.check_recipe`.
        scheduler: the typed group ``scheduler``, likewise.
    """
    kind = settings._target_.rpartition(".")[2]
    rate: Any = getattr(settings, "lr", 1e-3)
    decay = getattr(settings, "weight_decay", 0.01 if kind == "AdamW" else 0.0)
    if scheduler._target_ == COSINE:
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    if kind == "SGD":
        return MomentumSGD(rate, momentum=getattr(settings, "momentum", 0.0), l2=decay)
    beta_1, beta_2 = getattr(settings, "betas", (0.9, 0.999))
    adam = {"epsilon": getattr(settings, "eps", 1e-8), "beta_1": beta_1, "beta_2": beta_2}
    if kind == "AdamW":
        return keras.optimizers.AdamW(rate, weight_decay=decay, **adam)
    return L2Adam(rate, l2=decay, **adam)


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
    """Momentum as the sum of gradients, as in PyTorch. Keras sums steps, which include their learning rates."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        momentum = self.momentums[self._get_variable_index(variable)]
        self.assign(momentum, self.momentum * momentum + gradient)
        self.assign_sub(variable, learning_rate * momentum)

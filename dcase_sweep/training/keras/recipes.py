"""The optimizers, schedules and losses that are available in Keras. Does not import Keras."""

from typing import Any

from dcase_sweep.config.flat import plain
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.utils.errors import UserError

#: The arguments of each PyTorch optimizer that Keras also has.
OPTIMIZERS = {
    "torch.optim.Adam": ("lr", "betas", "eps", "weight_decay"),
    "torch.optim.AdamW": ("lr", "betas", "eps", "weight_decay"),
    "torch.optim.SGD": ("lr", "momentum", "weight_decay"),
}
CONSTANT, COSINE = (f"dcase_sweep.training.schedules.{name}" for name in ("constant", "cosine"))
_LOSS = "torch.nn.CrossEntropyLoss"
_EXTRA_KEYS = ("_target_", "_partial_")


def check_recipe(experiment: Experiment) -> None:
    """Check that Keras would train with these settings in the same way as PyTorch.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    optimizer = experiment.optimizer
    if optimizer._target_ not in OPTIMIZERS:
        raise _error("optimizer", optimizer, f"expected one of {', '.join(OPTIMIZERS)}")
    _check_arguments("optimizer", optimizer, OPTIMIZERS[optimizer._target_])
    if experiment.scheduler._target_ not in (CONSTANT, COSINE):
        raise _error("scheduler", experiment.scheduler, "expected scheduler=constant or cosine")
    _check_scheduler(experiment.scheduler)
    if experiment.task.loss is not None:
        if experiment.task.loss._target_ != _LOSS:
            raise _error("task.loss", experiment.task.loss, f"expected {_LOSS}")
        _check_arguments("task.loss", experiment.task.loss, ())
    if experiment.callbacks:
        name = next(iter(experiment.callbacks))
        raise UserError(
            f"callbacks.{name}: framework=tensorflow does not support Lightning callbacks; choose callbacks=none "
            "or framework=torch"
        )


def _check_scheduler(scheduler: Any) -> None:
    """Check a schedule. Keras updates it after each step, and has no ramp-up."""
    values = plain(scheduler)
    if scheduler._target_ == COSINE and values.get("interval") != "step":
        raise UserError(
            f"scheduler.interval={values.get('interval') or 'epoch'}: framework=tensorflow updates the learning rate "
            "after each step; choose scheduler.interval=step or framework=torch"
        )
    if values.get("ramp_epochs"):
        raise UserError(
            f"scheduler.ramp_epochs={values['ramp_epochs']}: not supported with framework=tensorflow; leave it out or "
            "use framework=torch"
        )
    _check_arguments("scheduler", scheduler, ("interval", "ramp_epochs"))


def _error(key: str, node: Any, expected: str) -> UserError:
    return UserError(
        f"{key}._target_={node._target_}: not available with framework=tensorflow; {expected}, or use framework=torch"
    )


def _check_arguments(key: str, node: Any, known: tuple[str, ...]) -> None:
    for name, value in plain(node).items():
        if name not in (*known, *_EXTRA_KEYS) and value is not None:
            raise UserError(
                f"{key}.{name}={value}: not supported with framework=tensorflow; leave it out or use framework=torch"
            )

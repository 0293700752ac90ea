"""Networks whose class plans their layers, so that they need not be built."""

from dcase_sweep.config.classes import locate_class
from dcase_sweep.config.instantiate import build_front_end, keyword_arguments
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.config.task import locate_task
from dcase_sweep.models.planned_layer import PlannedLayer
from dcase_sweep.utils.machine import memory_bytes

#: Optimizers that accept parameters of any shape.
_OF_ANY_SHAPE = tuple(f"torch.optim.{name}" for name in ("Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "SGD"))
#: The largest number of layers of such a network. Larger ones are built, with limits on time and memory.
_MOST_LAYERS = 1000
_BYTES = 4
#: Bytes that every process has.
_SMALL = 2**20


def plan_layers(experiment: Experiment, classes: int) -> list[PlannedLayer] | None:
    """Return the layers of the experiment's network without building it; None if its class does not plan them."""
    target = locate_class("model", experiment.model._target_)
    if "plan_layers" not in vars(target):  # that of a parent may not describe it
        return None
    statistics = locate_task(experiment.task._target_).counts_statistics
    try:
        planned: list[PlannedLayer] = target.plan_layers(  # type: ignore[attr-defined]
            input_shape=build_front_end(experiment).shape,
            classes=classes,
            statistics=statistics,
            **keyword_arguments(experiment.model),
        )
    except ValueError:  # its constructor says what is wrong
        return None
    return planned


def is_plannable(experiment: Experiment) -> bool:
    """Whether the experiment's network is known to be valid by the layers that its class plans.

    This is so for classes of this package, whose plan accepts what their constructor accepts. False if the network must
    be built to find out, or to know what is wrong, or because the optimizer may depend on the shapes of its parameters.
    """
    if not locate_class("model", experiment.model._target_).__module__.startswith("dcase_sweep."):
        return False
    layers = plan_layers(experiment, classes=2) if experiment.optimizer._target_ in _OF_ANY_SHAPE else None
    if layers is None:
        return False
    needed = _BYTES * sum(layer.parameters for layer in layers)
    return len(layers) <= _MOST_LAYERS and (needed <= _SMALL or needed <= (memory_bytes() or 0))

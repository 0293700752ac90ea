"""Whether a network can be built, without building it."""

from dcase_sweep.config.classes import locate_class
from dcase_sweep.config.instantiate import build_front_end, keyword_arguments
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.utils.machine import memory_bytes

#: Optimizers that accept parameters of any shape.
_OF_ANY_SHAPE = tuple(f"torch.optim.{name}" for name in ("Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "SGD"))
#: The largest number of layers of such a network. Larger ones are built, with limits on time and memory.
_MOST_LAYERS = 1000
_BYTES = 4
#: Bytes that every process has.
_SMALL = 2**20


def is_plannable(experiment: Experiment) -> bool:
    """Whether the experiment's network is known to be valid by the layers that its class plans.

    This is so for classes of this package, whose plan accepts what their constructor accepts. False if the network must
    be built to find out, or to know what is wrong, or because the optimizer may depend on the shapes of its parameters.
    """
    target = locate_class("model", experiment.model._target_)
    if not target.__module__.startswith("dcase_sweep.") or "plan_layers" not in vars(target):
        return False
    if experiment.optimizer._target_ not in _OF_ANY_SHAPE:
        return False
    given = {"input_shape": build_front_end(experiment).shape, "classes": 2, "statistics": False}
    try:
        layers = target.plan_layers(**given, **keyword_arguments(experiment.model))  # type: ignore[attr-defined]
    except ValueError:
        return False
    needed = _BYTES * sum(layer.parameters for layer in layers)
    return len(layers) <= _MOST_LAYERS and (needed <= _SMALL or needed <= (memory_bytes() or 0))

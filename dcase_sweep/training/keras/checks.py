"""The checks of what Keras on TensorFlow needs, and of what it cannot do or does in one way only."""

from dcase_sweep.config.classes import locate_class
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.utils.errors import UserError


def check_tensorflow(experiment: Experiment) -> None:
    """Refuse what the twin of the PyTorch learner cannot do.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    from dcase_sweep.training.keras.library import MISSING, is_installed
    from dcase_sweep.training.keras.recipes import check_recipe

    target = experiment.model._target_
    if getattr(locate_class("model", target), "keras_twin", None) is None:
        raise UserError(f"framework=tensorflow: model {target.rpartition('.')[2]} has no twin in Keras; choose torch")
    if not experiment.hardware.channels_last:
        raise UserError(
            "hardware.channels_last=false: does nothing with framework=tensorflow, whose maps are so always"
        )
    check_recipe(experiment)
    if experiment.augmentation and experiment.hardware.cache_device == "device":
        raise UserError(
            f"augmentation.{next(iter(experiment.augmentation))}: framework=tensorflow augments in memory only; set "
            "hardware.cache_device=memory"
        )
    if not is_installed():
        raise UserError(MISSING)

"""Checks of experiments that Keras on TensorFlow cannot run."""

from dcase_sweep.config.classes import locate_class
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.utils.errors import UserError


def find_twin(target: type) -> str | None:
    """Return the function that builds the Keras version of a network, by its full name; None without one.

    A class that inherits from one with a Keras version may compute something else, and must name its own.
    """
    twin: str | None = vars(target).get("keras_twin")
    return twin


def check_tensorflow(experiment: Experiment) -> None:
    """Check that the Keras learner can run the experiment.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    from dcase_sweep.training.keras.library import MISSING, is_installed
    from dcase_sweep.training.keras.recipes import check_recipe

    target = experiment.model._target_
    if find_twin(locate_class("model", target)) is None:
        raise UserError(f"framework=tensorflow: model {target.rpartition('.')[2]} is not available; choose torch")
    if experiment.hardware.accelerator == "mps":
        raise UserError(
            "hardware=mps: for framework=torch only; choose hardware=cpu, or hardware=gpu where TensorFlow finds a GPU"
        )
    if not experiment.hardware.channels_last:
        raise UserError(
            "hardware.channels_last=false: no effect with framework=tensorflow, which always uses channels last"
        )
    check_recipe(experiment)
    if experiment.augmentation and experiment.hardware.cache_device == "device":
        raise UserError(
            f"augmentation.{next(iter(experiment.augmentation))}: framework=tensorflow augments in memory only; set "
            "hardware.cache_device=memory"
        )
    if not is_installed():
        raise UserError(MISSING)

"""Checks of trainings that compute their features in each step (``front_end.store=false``)."""

from dcase_sweep.config.classes import locate, locate_class
from dcase_sweep.config.components import get_domain
from dcase_sweep.config.instantiate import build_front_end, stores_features
from dcase_sweep.config.schemas import Experiment
from dcase_sweep.config.signatures import read_signature
from dcase_sweep.config.task import get_learner
from dcase_sweep.utils.errors import UserError

_KEY = "front_end.store=false"


def check_waveforms(experiment: Experiment) -> None:
    """Check that features can be computed in the training, or that nothing asks for it.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    if stores_features(experiment):
        _check_augmentations(experiment)
        return
    if experiment.framework.name == "tensorflow":
        raise UserError(f"{_KEY}: framework=tensorflow trains on stored features; choose framework=torch")
    if experiment.hardware.accelerator == "mps":
        raise UserError(f"{_KEY}: features are not computed on a Mac's GPU; choose hardware=cpu")
    if experiment.published_checkpoint is not None:
        raise UserError(f"{_KEY}: no effect with mean_teacher.checkpoint, with which nothing is trained; leave it out")
    if not getattr(build_front_end(experiment), "computes_in_training", False):
        raise UserError(
            f"{_KEY}: {experiment.front_end._target_} is not computed by PyTorch; choose front_end=log_mel, "
            "amplitude_mel or torchaudio_mel, or a class of your own with computes_in_training = True"
        )
    learner = get_learner(experiment)
    if learner.startswith("dcase_sweep."):
        return
    signature = read_signature(locate_class("task.learner", learner, "task.learner"))
    if "waveforms" not in signature.arguments and not signature.is_open:
        raise UserError(f"{_KEY}: task.learner={learner} has no argument waveforms; expected one for them")


def _check_augmentations(experiment: Experiment) -> None:
    """Refuse augmentations of waveforms where there are none."""
    for name, node in experiment.augmentation.items():
        if get_domain(locate(f"augmentation.{name}._target_", node._target_)) == "waveforms":
            raise UserError(
                f"augmentation.{name}: changes waveforms, but the training reads stored features; add {_KEY}, or "
                f"remove it with ~augmentation.{name}"
            )

"""A trial of the loss with predictions and targets of the task's shapes, before features are computed."""

import warnings

import torch
from torch import Tensor

from dcase_sweep.config import Experiment, get_learner
from dcase_sweep.config.components import make_loss
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.failures import describe_failure


def try_scene_loss(experiment: Experiment, classes: int) -> None:
    """Check the loss of scene classification, which gets logits ``[batch, class]`` and class indices ``[batch]``.

    Raises:
        UserError: if it cannot be computed, or is not one number to be minimized.
    """
    # Not as many clips as classes: a loss that adds dimensions would accept targets of another meaning.
    clips = classes + 1
    _try(
        experiment,
        torch.zeros(clips, classes),
        torch.arange(clips) % classes,
        f"logits [batch, {classes}] and class indices [batch] (int64)",
    )


def try_event_loss(experiment: Experiment, classes: int) -> None:
    """Check the loss of sound event detection, which gets probabilities and targets of frames and of clips.

    Raises:
        UserError: if it cannot be computed, or is not one number to be minimized.
    """
    clips = classes + 1
    for shape, text in (([clips, classes, clips + 1], f"[batch, {classes}, frame]"), ([clips, classes], None)):
        shown = text or f"[batch, {classes}]"
        _try(experiment, torch.full(shape, 0.5), torch.zeros(shape), f"probabilities {shown} and targets {shown}")


def _try(experiment: Experiment, predictions: Tensor, targets: Tensor, given: str) -> None:
    if experiment.task.loss is None or not get_learner(experiment).startswith("dcase_sweep.training."):
        return  # a learner of the user's own calls it in its own way
    name, loss = experiment.task.loss._target_, make_loss(experiment.task.loss)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of shapes that are broadcast
            value = loss(predictions.requires_grad_(), targets)
    except Exception as error:  # a user's loss can raise any error
        raise UserError(f"task.loss: {describe_failure(error, name)}; expected a loss of {given}") from None
    if not isinstance(value, Tensor):
        raise UserError(
            f"task.loss._target_={name}: returned a {type(value).__name__}; expected a tensor of one number"
        )
    if value.ndim and value.numel() != 1:
        raise UserError(
            f"task.loss._target_={name}: returned {list(value.shape)} for {given}; expected one number, the mean over "
            "the batch (reduction=mean)"
        )
    if not value.requires_grad:
        raise UserError(
            f"task.loss._target_={name}: does not depend on the predictions (no gradient); expected a loss to minimize"
        )

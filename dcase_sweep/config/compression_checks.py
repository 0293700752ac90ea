"""Checks of the compression settings. The learner checks what depends on the network or a file."""

from dcase_sweep.config.schemas import Compression, Experiment
from dcase_sweep.config.task import locate_task
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.precision import PRECISIONS


def check_compression(experiment: Experiment) -> None:
    """Check that the task and framework support the compression, and that its values are valid.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    settings = experiment.compression
    if settings is None:
        return
    _check_values(settings)
    key = _first_option(settings)
    if not locate_task(experiment.task._target_).can_compress:
        raise UserError(f"compression.{key or 'bits'}: no effect on task {experiment.task.name}; leave it out")
    if key is None:
        return
    if experiment.framework.name != "torch":
        raise UserError(f"compression.{key}: framework={experiment.framework.name} has none; choose framework=torch")
    if settings.quantize and experiment.hardware.accelerator == "mps":
        raise UserError(
            "compression.quantize=true: PyTorch has no operators of quantisation for hardware=mps; choose hardware=cpu"
        )
    if settings.quantize and experiment.hardware.compile:
        raise UserError(
            "compression.quantize=true: its layers are called with other weights than their own, which "
            "hardware.compile=true cannot follow; add hardware.compile=false"
        )


def _first_option(settings: Compression) -> str | None:
    asked = {
        f"start={settings.start}": settings.start is not None,
        f"nonzero_kib={settings.nonzero_kib}": settings.nonzero_kib is not None,
        "quantize=true": settings.quantize,
    }
    return next((key for key, is_asked in asked.items() if is_asked), None)


def _check_values(settings: Compression) -> None:
    if settings.bits not in PRECISIONS:
        raise UserError(f"compression.bits={settings.bits}: expected one of {', '.join(map(str, PRECISIONS))}")
    if settings.nonzero_kib is not None and not settings.nonzero_kib > 0:
        raise UserError(f"compression.nonzero_kib={settings.nonzero_kib}: expected more than 0, or null")
    shares = {"begin": settings.begin, "end": settings.end}
    starts = {"quantize_from": settings.quantize_from, "freeze_from": settings.freeze_from}
    for name, share in (shares | starts).items():
        if not 0 <= share <= 1:
            raise UserError(f"compression.{name}={share}: expected a fraction of the training, from 0 to 1")
    for first, last in (("begin", "end"), ("quantize_from", "freeze_from")):
        if getattr(settings, first) > getattr(settings, last):
            raise UserError(
                f"compression.{first}={getattr(settings, first)}: expected at most "
                f"compression.{last}={getattr(settings, last)}"
            )
    if settings.quantize and settings.quantize_from == 1:
        raise UserError("compression.quantize_from=1.0: no epoch would be quantised; expected less than 1")

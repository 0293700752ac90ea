"""The selected option of each configuration group, as recorded in tags, parameters and checkpoints of a run."""

from collections.abc import Mapping
from typing import Any

from dcase_sweep.config.checks import SEVERAL
from dcase_sweep.utils import console
from dcase_sweep.utils.text import printable

#: Groups whose choice is recorded.
_RECORDED = (
    *("task", "data", "front_end", "model", "optimizer", "scheduler", "augmentation", "callbacks", "metrics"),
    *("hardware", "framework", "tracking", "experiment"),
)
#: Characters of a choice; a checkpoint holds no longer one.
_LONGEST = 200


def read_choices(chosen: Mapping[str, Any], composed: Mapping[str, Any]) -> dict[str, str]:
    """The choice of each group: model → cnn5, metrics → macro_f1,cohen_kappa.

    Hydra notes nothing where several files of a group are chosen at once; there the names in the composed configuration
    stand for them.

    Args:
        chosen: the choices that Hydra stores (``hydra.runtime.choices``).
        composed: the composed configuration.
    """
    choices = {group: str(chosen[group]) for group in _RECORDED if chosen.get(group)}
    for group in SEVERAL:
        if group in _RECORDED and group not in choices and group in composed:
            choices[group] = ",".join(map(str, composed[group] or ())) or "none"
    return {group: printable(choices[group])[:_LONGEST] for group in _RECORDED if group in choices}


def introduce(choices: Mapping[str, str], seed: object) -> None:
    """Log the first line of a run, before anything slow is imported."""
    from dcase_sweep import __version__

    chosen = f"task {choices.get('task')}, {choices.get('model')} on {choices.get('data')}"
    console.field("dcase", f"{__version__}: {chosen}, seed {printable(seed, 20)}")

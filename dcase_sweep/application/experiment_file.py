"""An experiment file for one of the best trials of a search, to be run with `+experiment=NAME`."""

import json
import re
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from omegaconf import OmegaConf

from dcase_sweep.config.files import read_config
from dcase_sweep.sweep.job import BestTrial
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_word

#: Types of values of a search space, and syntax that is more than a value.
_OVERRIDE = re.compile(
    r"\+{0,2}(?!hydra\b|tracking\b|store\b|framework\.|task\.learner\b)[A-Za-z][\w.*]*=[^\x00-\x1f\x7f]*"
)
#: A block of a network may refer to a value of its model: ``${model.dropout}``.
_INSTRUCTION = re.compile(r"_(target|args|partial|recursive|convert)_|\$\{(?!model\.[a-z]\w*\})")
_NOT_OURS = (
    "trial {number} of the storage has {what}, which no search writes; expected values of its space: "
    "hydra.sweeper.fresh=true starts a new study"
)


def make_experiment_file(best: BestTrial) -> str:
    """Create a file like those in ``experiments/`` with the fixed choices and the values of one of the best trials.

    Choices of groups become overrides in the defaults list.

    Raises:
        UserError: if the storage contains something that no search writes.
    """
    from dcase_sweep.config.checks import GROUPS, SEVERAL

    parser = OverridesParser.create()
    groups: dict[str, str | list[str]] = {}
    values = OmegaConf.create({})
    secret: list[str] = []
    lines = [*best.fixed, *stored_overrides(best), *(f"seed={seed}" for seed in best.seeds[:1])]
    for line in lines:
        parsed = parser.parse_override(line)
        key, value = parsed.get_key_element().lstrip("+"), parsed.value()
        if key == "search":  # which found the trial, but is not part of it
            continue
        if key in GROUPS and isinstance(value, (str, int, QuotedString)):
            groups[key] = _to_text(value)
        elif key in SEVERAL and isinstance(value, list):
            groups[key] = [_to_text(each) for each in value]
        elif "/" not in key and not key.startswith("hydra.") and mask_word(line) != line:
            secret.append(key)  # such as the address of a store; who repeats the trial has it in another place
        elif "/" not in key and not key.startswith("hydra."):
            key, value = _whole_list(key, value, best)
            OmegaConf.update(values, key, value, merge=False, force_add=True)
    # An experiment cannot be replaced like other choices: this file, which is an experiment itself, extends it.
    base = groups.pop("experiment", None)
    chosen = [] if base is None else [f"  - {json.dumps(base, ensure_ascii=False)}"]
    chosen += [f"  - override /{group}: {json.dumps(choice, ensure_ascii=False)}" for group, choice in groups.items()]
    found = ", ".join(f"{name} {value:.6g}" for name, value in best.metrics.items())
    text = f"# @package _global_\n# Trial {best.number} of the search {best.study}: {found}.\n"
    text += _describe_seeds(best)
    text += "".join(f"# Note: {note}.\n" for note in best.notes)
    text += f"# Left out, as a secret: {', '.join(secret)}.\n" if secret else ""
    text += "defaults:\n" + "\n".join(chosen) + "\n\n" if chosen else ""
    return text + (OmegaConf.to_yaml(values) if values else "")


def _describe_seeds(best: BestTrial) -> str:
    """Say of which seeds the result is the mean. The file itself has the first one."""
    if not best.seeds:
        return ""
    spread = ", ".join(f"{best.spread[name]:.3g}" for name in best.metrics if name in best.spread)
    listed = ",".join(map(str, best.seeds))
    return f"# Mean of the seeds {listed}, standard deviation {spread}; all of them again: -m seed={listed}\n"


def _to_text(value: Any) -> str:
    return str(getattr(value, "text", value))


def stored_overrides(best: BestTrial) -> list[str]:
    """Return the overrides of a trial from the storage.

    The resulting file is composed like a user's own configuration, but a storage is not trusted: overrides may contain
    values of a search space, but no classes and no paths.

    Raises:
        UserError: for an override that no search writes.
    """
    overrides, threads = best.overrides, best.threads
    if not isinstance(overrides, list) or not (threads is None or type(threads) is int):
        raise UserError(_NOT_OURS.format(number=best.number, what="its overrides are no list"))
    for line in overrides:
        if not isinstance(line, str) or not _OVERRIDE.fullmatch(line) or _INSTRUCTION.search(line):
            raise UserError(_NOT_OURS.format(number=best.number, what=f"the override {str(line)[:80]!r}"))
    return [*overrides, *([] if threads is None else [f"hardware.threads={threads}"])]


def _whole_list(key: str, value: Any, best: BestTrial) -> tuple[str, Any]:
    """Return the whole list for an override of a list entry, because a file cannot set a single entry."""
    names = key.split(".")
    position = next((index for index, name in enumerate(names) if name.isdigit()), None)
    if position is None:
        return key, value
    plain: Any = read_config(Path(best.folder) / ".hydra" / "config.yaml")
    whole = ".".join(names[:position])
    for name in names[:position]:
        plain = plain[name]
    if "_target_" in json.dumps(plain, default=str):
        raise UserError(_NOT_OURS.format(number=best.number, what=f"a class within {whole}"))
    return whole, plain

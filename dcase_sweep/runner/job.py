"""The circumstances of a run, and its name."""

from dataclasses import dataclass
from pathlib import Path

from dcase_sweep.utils.names import shorten_key

#: Keys whose values are shown without the key in names of runs.
_NAMED_BY_VALUE = ("model", "experiment")


@dataclass(frozen=True, slots=True)
class Job:
    """The circumstances of a run: its folder, and how it was requested."""

    #: Folder of checkpoints, tables and figures.
    folder: Path
    #: Choices of the groups: model → cnn5.
    choices: dict[str, str]
    #: Overrides on the command line.
    overrides: tuple[str, ...] = ()
    #: Keys that vary between the jobs of a sweep.
    varying: tuple[str, ...] = ()
    #: The composed configuration as YAML.
    composed: str = ""
    #: The command line without ``resume``.
    command: str = "python -m dcase_sweep"

    @property
    def name(self) -> str:
        """Name of the run: choices and overrides, such as ``cnn5 seed=1``. Locations are included only if they vary.

        The name of a sweep's job contains only what varies. The file of an experiment, which may change the whole
        model, replaces the name of the model.
        """
        if self.varying:
            return self._name_in_sweep()
        first = "experiment" if self.choices.get("experiment") else "model"
        hidden = (
            f"{first}=",
            "task=",  # the model belongs to one
            "+experiment",
            "data=",
            "data.root",
            "data.name",
            "hardware",
            "tracking",
            "logger",
            "store",
            "hydra",
            "resume",
        )
        shown = set(self.varying) - {first}  # which is the first part of the name
        rest = [
            override.removeprefix("++")
            for override in self.overrides
            if not override.startswith(hidden) or override.partition("=")[0].lstrip("+") in shown
        ]
        return " ".join([self.choices.get(first) or "run", *rest])[:250]

    def _name_in_sweep(self) -> str:
        """The values of what varies: a group's by itself, a key's with its last parts, seeds last."""
        values = {}
        for override in self.overrides:
            key, _, value = override.lstrip("+").partition("=")
            values[key] = value.strip("'\"")
        parts = []
        for key in sorted((key for key in self.varying if key in values), key=lambda key: key == "seed"):
            shown = values[key] if key in _NAMED_BY_VALUE else f"{shorten_key(key, self.varying)}={values[key]}"
            parts.append(shown)
        return (" ".join(parts) or self.choices.get("model") or "run")[:250]

"""Composing and running an experiment from Python."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from dcase_sweep.config import Experiment as Settings
from dcase_sweep.config import check_written
from dcase_sweep.config.arguments import check_folder
from dcase_sweep.config.choices import introduce
from dcase_sweep.config.compose import compose_experiments
from dcase_sweep.result import Result
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_word
from dcase_sweep.utils.text import printable


@dataclass(frozen=True, slots=True)
class Experiment:
    """A validated configuration that can be run.

    Attributes:
        name: a readable name: ``cnn5 model.depth=4``.
        settings: the typed configuration: ``settings.training.epochs``, ``settings.model.dropout``.
        choices: configuration group → selected option: ``{"model": "cnn5", ...}``.
        overrides: the overrides passed to `compose`, after those of the run that ``resume`` names.
        yaml: the composed configuration as YAML.
        command: the equivalent command line.
    """

    name: str
    settings: Settings = field(repr=False)
    choices: dict[str, str] = field(repr=False)
    overrides: tuple[str, ...] = ()
    yaml: str = field(default="", repr=False)
    command: str = field(default="python -m dcase_sweep", repr=False)


def compose(overrides: Sequence[str] = (), *, config_dir: str | Path | None = None) -> Experiment:
    """Compose the experiment that ``python -m dcase_sweep OVERRIDES`` would run.

    Args:
        overrides: overrides as on the command line: ``["model=cnn5", "training.epochs=20"]``. ``["resume=FOLDER"]``
            continues a run with its own overrides.
        config_dir: a folder with your own configuration groups.

    Returns:
        The validated experiment.

    Raises:
        UserError: for an invalid key, value or combination, and for overrides that describe several experiments.
    """
    if isinstance(overrides, str):
        raise UserError(f"overrides={overrides!r}: a text; expected a list of them: [{overrides!r}]")
    wrong = next((each for each in overrides if not isinstance(each, str)), None)
    if wrong is not None:
        raise UserError(
            f"overrides: {wrong!r} of type {type(wrong).__name__}; expected texts such as 'training.epochs=20'"
        )
    _refuse_hydra(overrides)
    folder = None if config_dir is None else Path(config_dir).expanduser()
    composed = compose_experiments(list(overrides), folder)
    if len(composed) != 1:
        raise UserError(f"{len(composed)} experiments; expected one value for each key; compose them one by one")
    (found,) = composed
    is_continued = any(word.lstrip("+").startswith("resume=") for word in overrides)
    given = tuple(map(mask_word, found.overrides if is_continued else overrides))
    return Experiment(found.name, found.experiment, found.choices, given, found.yaml, found.command)


def _refuse_hydra(overrides: Sequence[str]) -> None:
    """Raise a UserError for a setting of Hydra's own, which nothing reads here."""
    for word in overrides:
        key = word.lstrip("+~").partition("=")[0]
        if key.startswith("hydra.") and key != "hydra.searchpath":
            instead = "; the folder is run(experiment, folder=...)" if key == "hydra.run.dir" else ""
            raise UserError(f"{word}: no effect on an experiment in Python; expected its own keys{instead}")


def run(experiment: Experiment, *, folder: str | Path | None = None) -> Result:
    """Train and evaluate an experiment. The run is logged like a run from the command line.

    Progress is logged to the logger ``dcase_sweep``. To show it, call
    ``logging.basicConfig(level="INFO", format="%(message)s")``.

    Args:
        experiment: an experiment from `compose`.
        folder: folder for checkpoints, tables and figures; None = ``outputs/DATE/TIME``.

    Returns:
        The status, the ID and the folder of the run, and its metrics by name, such as ``test/accuracy``.

    Raises:
        UserError: for an error that you can correct, such as missing recordings or insufficient memory.
        KeyboardInterrupt: after an interruption. The run is marked as killed; its last checkpoint remains.
    """
    from dcase_sweep import runner, tracking
    from dcase_sweep.utils.signals import Interrupted, interruptible

    if not isinstance(experiment, Experiment):
        raise UserError(
            f"run({printable(repr(experiment), 80)}): expected an experiment, as in "
            "dcase_sweep.run(dcase_sweep.compose([...]))"
        )
    own = Path("outputs") / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    where = own if folder is None else Path(folder).expanduser()
    check_folder("folder", str(where))
    check_written("folder", where)
    if tracking.logs_to_mlflow(experiment.settings.logger):
        tracking.check_store(experiment.settings.tracking)
    introduce(experiment.choices, experiment.settings.seed)
    where.mkdir(parents=True, exist_ok=True)
    job = runner.Job(
        folder=where,
        choices=experiment.choices,
        overrides=experiment.overrides,
        composed=experiment.yaml,
        command=experiment.command,
    )
    try:
        with interruptible():
            return runner.run(experiment.settings, job)
    except Interrupted as interrupted:
        raise KeyboardInterrupt(str(interrupted)) from None

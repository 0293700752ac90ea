"""What a composed configuration may hold: typed schemas, and the checks that span them.

The groups that name a class by ``_target_`` (data, model, front_end) are typed by that class's constructor, so a new
model or data set brings its schema along and nothing here changes.
"""

import difflib
import inspect
import typing
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from importlib import import_module
from typing import Any

from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.errors import UserError


@dataclass
class Task:
    """What is learned and how it is judged."""

    name: str = MISSING
    title: str = MISSING
    #: ``scenes`` or ``events``: what a model and a data set must offer.
    kind: str = MISSING
    #: Epochs on the generated demo data, where the recipe's number would only be waited for.
    demo_epochs: int = MISSING


@dataclass
class Training:
    """How long and on what batches a network is trained, and which epoch of it is kept."""

    epochs: int = MISSING
    batch_size: int = MISSING
    #: Share of the epochs before the best one is looked for.
    keep_from: float = MISSING
    schedule: str = "constant"


@dataclass
class Optimizer:
    """The optimizer by its name in PyTorch and Keras."""

    name: str = "adam"
    lr: float = MISSING
    eps: float = 1e-7
    weight_decay: float = 0.0


@dataclass
class Augmentation:
    """What is done to training batches; everything is off at 0."""

    mixup_alpha: float = 0.0
    #: SpecAugment: how many bands and how many stretches are masked, and their largest width.
    mask_mels: int = 0
    mask_mels_width: int = 8
    mask_frames: int = 0
    mask_frames_width: int = 50
    #: Probability and concentration of Freq-MixStyle (Kim et al., 2022; Schmid et al., 2022).
    freq_mixstyle_p: float = 0.0
    freq_mixstyle_alpha: float = 0.4
    #: Largest shift in time, as a share of the clip, its end rolled to its beginning.
    roll: float = 0.0


@dataclass
class Hardware:
    """Where and how the arithmetic is done."""

    accelerator: str = MISSING
    #: ``32-true``, ``16-mixed``, ``bf16-mixed``, or ``auto``: what the device does fast.
    precision: str = MISSING
    channels_last: bool = True
    compile: bool = False
    #: CPU threads of the network's operators; null = all cores.
    threads: int | None = None
    #: Processes-worth of parallel reading while features are computed; null = all cores.
    workers: int | None = None
    #: Where features of the training set are kept while training: ``memory`` or ``device``.
    features_on: str = "memory"
    deterministic: bool = True


@dataclass
class Framework:
    """Which library trains; the learner of each kind of task, by its class."""

    name: str = MISSING
    learners: dict[str, str] = MISSING


@dataclass
class Tracking:
    """Where runs are logged."""

    #: Null = MLFLOW_TRACKING_URI, or a SQLite file under ``folder``.
    uri: str | None = None
    folder: str = "mlruns"
    experiment: str = "dcase_sweep"
    #: Null = a name made from what was chosen.
    run_name: str | None = None
    #: The run above this one; a multirun fills it in.
    parent: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Store:
    """Where computed features lie."""

    root: str = MISSING


@dataclass
class Experiment:
    """One experiment, composed."""

    task: Task = field(default_factory=Task)
    data: Any = MISSING
    front_end: Any = MISSING
    model: Any = MISSING
    training: Training = field(default_factory=Training)
    optimizer: Optimizer = field(default_factory=Optimizer)
    augmentation: Augmentation = field(default_factory=Augmentation)
    hardware: Hardware = field(default_factory=Hardware)
    framework: Framework = field(default_factory=Framework)
    tracking: Tracking = field(default_factory=Tracking)
    store: Store = field(default_factory=Store)
    seed: int = 0
    #: A checkpoint, or the folder of a run that was interrupted.
    resume: str | None = None


TARGETED = ("data", "front_end", "model")
#: Arguments of a model's constructor that the data decide.
_GIVEN = {"input_shape", "classes"}
CHOICES = {
    "task.kind": ("scenes", "events"),
    "training.schedule": ("constant", "cosine"),
    "optimizer.name": ("adam", "adamw", "sgd"),
    "hardware.accelerator": ("cpu", "gpu"),
    "hardware.precision": ("auto", "32-true", "16-mixed", "bf16-mixed"),
    "hardware.features_on": ("memory", "device"),
}
#: Lowest and highest legal value; None = no bound.
RANGES: dict[str, tuple[float | None, float | None]] = {
    "training.epochs": (1, None),
    "training.batch_size": (1, None),
    "training.keep_from": (0, 0.999),
    "optimizer.eps": (0, None),
    "optimizer.weight_decay": (0, None),
    "augmentation.mixup_alpha": (0, None),
    "augmentation.mask_mels": (0, None),
    "augmentation.mask_mels_width": (1, None),
    "augmentation.mask_frames": (0, None),
    "augmentation.mask_frames_width": (1, None),
    "augmentation.freq_mixstyle_p": (0, 1),
    "augmentation.freq_mixstyle_alpha": (1e-6, None),
    "augmentation.roll": (0, 1),
    "hardware.threads": (1, None),
    "hardware.workers": (1, None),
    "seed": (0, 2**32 - 1),
}


def locate(where: str, target: str) -> type:
    """The class that a ``_target_`` names.

    Raises:
        UserError: if there is no such class.
    """
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{where}._target_={target}: {error}; expected the full name of a class") from None
    return typing.cast(type, found)


def schema_of(target: type, given: set[str]) -> type:
    """A dataclass with the keyword arguments of a class's constructor, the given ones left out."""
    members: list[Any] = [("_target_", str)]
    for name, parameter in inspect.signature(target).parameters.items():
        if name in given or parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        default = MISSING if parameter.default is inspect.Parameter.empty else parameter.default
        members.append((name, parameter.annotation, field(default=default)))
    return make_dataclass(target.__name__, members)


def check(composed: DictConfig) -> Experiment:
    """The composed configuration as typed values, every cross-check passed.

    Raises:
        UserError: in one line that names the key, what was found and what is expected.
    """
    _refuse_unknown("", composed, Experiment)
    schema = OmegaConf.structured(Experiment)
    for group in TARGETED:
        node = composed.get(group)
        if not isinstance(node, DictConfig) or not isinstance(node.get("_target_"), str):
            raise UserError(f"{group}: expected a group whose _target_ names a class; found {node!r}")
        typed = schema_of(locate(group, node["_target_"]), _GIVEN)
        _refuse_unknown(f"{group}.", node, typed)
        OmegaConf.update(schema, group, OmegaConf.structured(typed))
    try:
        experiment = OmegaConf.to_object(OmegaConf.merge(schema, composed))
    except OmegaConfBaseException as error:
        where = f"{error.full_key!s}: " if error.full_key else ""
        raise UserError(where + str(error.msg or error).splitlines()[0]) from None
    assert isinstance(experiment, Experiment)
    _check_values(experiment)
    _check_pairs(experiment)
    return experiment


def _refuse_unknown(prefix: str, node: DictConfig, schema: type) -> None:
    """Point at the nearest right key, which a merge error does not."""
    known = {member.name: member.type for member in fields(schema)}
    for key in map(str, node):
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"expected one of {', '.join(known)}"
            raise UserError(f"{prefix}{key}: no such key; {hint}")
        inner = known[key]
        if isinstance(inner, type) and is_dataclass(inner) and isinstance(node._get_node(key), DictConfig):
            _refuse_unknown(f"{prefix}{key}.", node[key], inner)


def _value(experiment: Experiment, key: str) -> Any:
    value: Any = experiment
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _check_values(experiment: Experiment) -> None:
    for key, choices in CHOICES.items():
        if _value(experiment, key) not in choices:
            raise UserError(f"{key}={_value(experiment, key)}: expected one of {', '.join(choices)}")
    for key, (low, high) in RANGES.items():
        value = _value(experiment, key)
        if value is None:
            continue
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = f"at least {low}" if high is None else f"from {low} to {high}"
            raise UserError(f"{key}={value}: expected {bounds}")
    if experiment.optimizer.lr <= 0:
        raise UserError(f"optimizer.lr={experiment.optimizer.lr}: expected a positive number")


def _check_pairs(experiment: Experiment) -> None:
    """Refuse what each group allows and their combination does not."""
    kind = experiment.task.kind
    for group in ("model", "data"):
        target = getattr(experiment, group)._target_
        offered = getattr(locate(group, target), "kind", None)
        if offered != kind:
            raise UserError(
                f"task={experiment.task.name} is about {kind}, but {group} {target.rpartition('.')[2]} is for "
                f"{offered or 'neither scenes nor events'}; choose another task or {group}"
            )
    if kind not in experiment.framework.learners:
        raise UserError(f"framework={experiment.framework.name} has no learner for {kind}")
    build("data", experiment.data)
    build_model(experiment, classes=2, device="meta")


def arguments(node: Any) -> dict[str, Any]:
    """The keyword arguments that a typed group holds for its class."""
    return {member.name: getattr(node, member.name) for member in fields(node) if member.name != "_target_"}


def build(group: str, node: Any, **given: Any) -> Any:
    """The object that a typed group describes.

    Raises:
        UserError: with the group's name before what the constructor refused.
    """
    missing = [name for name, value in arguments(node).items() if value == MISSING]
    if missing:
        raise UserError(f"{group}.{missing[0]}: no value; expected one for {node._target_}")
    try:
        return locate(group, node._target_)(**given, **arguments(node))
    except ValueError as error:
        raise UserError(f"{group}.{error}") from None


def build_model(experiment: Experiment, *, classes: int, device: str = "cpu") -> Any:
    """The network for the front end's maps; on the ``meta`` device it is checked but holds no weights."""
    import torch

    front_end = build("front_end", experiment.front_end)
    with torch.device(device):
        return build("model", experiment.model, input_shape=front_end.shape, classes=classes)


def plain(value: Any) -> Any:
    """Nested dataclasses and OmegaConf nodes as dictionaries, lists and scalars."""
    if isinstance(value, (DictConfig, ListConfig)):
        return OmegaConf.to_container(value, resolve=True)
    if is_dataclass(value) and not isinstance(value, type):
        return {member.name: plain(getattr(value, member.name)) for member in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys and scalar values; a list of scalars stays one value."""
    value = plain(value)
    if isinstance(value, dict):
        pairs = [(f"{prefix}.{key}" if prefix else key, item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        pairs = [(f"{prefix}.{position}", item) for position, item in enumerate(value)]
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in pairs:
        flat |= flatten(item, key)
    return flat

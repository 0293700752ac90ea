"""The components of a training: optimizer, scheduler, loss, augmentations, callbacks.

Each names a class or a function by ``_target_`` with keyword arguments, without registration. Some arguments are passed
later, such as the parameters of the network to an optimizer. Others are optional: a scheduler whose constructor has an
argument ``steps`` gets the number of steps unless it is configured.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dcase_sweep.config.classes import locate
from dcase_sweep.config.instantiate import make_objects
from dcase_sweep.config.signatures import PARTIAL, TARGET, Shape, Signature, cached_schema, check_keys, read_signature
from dcase_sweep.config.tensors import convert_lists
from dcase_sweep.utils.collection import importing
from dcase_sweep.utils.errors import UserError, is_out_of_memory
from dcase_sweep.utils.failures import describe_failure
from dcase_sweep.utils.text import printable


@dataclass(frozen=True, slots=True)
class Role:
    """The role of a component.

    Attributes:
        what: description of a valid component, for messages.
        base: base class of the object as module and name, which a class must have; None = any object.
        given: number of first arguments that are passed later.
        given_name: name of the argument that is passed later; it need not be the first one.
        offered: arguments that are passed if the component accepts them and they are not configured.
        extra_keys: keys in addition to its arguments.
        is_partial: whether the first arguments are always passed later, independent of ``_partial_``.
    """

    what: str
    base: tuple[str, str] | None = None
    given: int = 0
    given_name: str | None = None
    offered: tuple[str, ...] = ()
    extra_keys: tuple[str, ...] = ()
    is_partial: bool = False


OPTIMIZER = Role(
    "an optimizer (torch.optim.Optimizer)", ("torch.optim.optimizer", "Optimizer"), given=1, is_partial=True
)
SCHEDULER = Role(
    "a scheduler (torch.optim.lr_scheduler.LRScheduler) or a function that makes one",
    given=1,
    given_name="optimizer",
    offered=("steps", "epochs", "steps_per_epoch", "interval"),
    extra_keys=("interval", "monitor"),
    is_partial=True,
)
LOSS = Role("a loss (torch.nn.Module), or a function with _partial_: true", given=2)
AUGMENTATION = Role("an augmentation: called with features, targets and rng", given=3, offered=("sample_rate",))
CALLBACK = Role(
    "a callback (pytorch_lightning.Callback)",
    ("pytorch_lightning.callbacks.callback", "Callback"),
    offered=("monitor", "mode"),
)
#: Groups with one component, and groups with several named components.
SINGLE = {"optimizer": OPTIMIZER, "scheduler": SCHEDULER, "task.loss": LOSS}
SEVERAL = {"augmentation": AUGMENTATION, "callbacks": CALLBACK}


def component_schema(key: str, node: Any, role: Role) -> type:
    """Return the schema of a component for the configured keys.

    Raises:
        UserError: with the key, for something that is not a component, an unknown key or a missing key.
    """
    if not isinstance(node, DictConfig) or not isinstance(node.get(TARGET), str):
        found = f"{TARGET}={node.get(TARGET)}" if isinstance(node, DictConfig) else repr(node)
        raise UserError(f"{key}: expected a group whose {TARGET} names {role.what}; found {printable(found, 80)}")
    target = locate_component(key, node[TARGET], role)
    signature = component_signature(target, role, bool(node.get(PARTIAL)))
    check_keys(f"{key}.", map(str, node), signature, more=(PARTIAL, *role.extra_keys))
    offered = set(role.offered)
    missing = [name for name in signature.required if name not in offered and node.get(name) is None]
    if missing:
        is_called_later = role.given and not role.is_partial and not inspect.isclass(target)
        hint = ", or _partial_: true if it is called later" if is_called_later and not node.get(PARTIAL) else ""
        raise UserError(f"{key}.{missing[0]}: no value; expected one for {node[TARGET]}{hint}")
    values: Any = OmegaConf.to_container(node, resolve=False)
    given = read_signature(target).arguments.keys() - signature.arguments.keys()
    return cached_schema(target, frozenset(given), Shape(values), full=False)


def locate_component(key: str, name: str, role: Role) -> Any:
    """Locate the class or function of a component.

    Raises:
        UserError: with the key, for something that cannot have this role.
    """
    key = f"{key}.{TARGET}"
    found = locate(key, name)
    if role.base is not None and isinstance(found, type) and not inherits(found, role.base):
        raise UserError(f"{key}={name}: not {role.what}; expected a class that is one")
    if not callable(found):
        raise UserError(f"{key}={name}: a {type(found).__name__}; expected {role.what}")
    return found


def inherits(found: Any, base: tuple[str, str]) -> bool:
    """Whether a class has this base class, which is not imported for the check."""
    return isinstance(found, type) and any((each.__module__, each.__name__) == base for each in found.__mro__)


def component_signature(target: Any, role: Role, is_partial: bool) -> Signature:
    """Return the arguments of a target that can be configured."""
    if not role.given or not (role.is_partial or is_partial):
        return read_signature(target)
    return read_signature(target, frozenset(given_arguments(target, role)))


def given_arguments(target: Any, role: Role) -> list[str]:
    """Return the names of the arguments of a target that are passed later."""
    names = list(read_signature(target).arguments)
    return [role.given_name] if role.given_name in names else names[: role.given]


def component_values(node: Any) -> dict[str, Any]:
    """Return the keys and values of a typed component."""
    return {each.name: getattr(node, each.name) for each in fields(node)} if is_dataclass(node) else dict(node)


def make_component(key: str, node: Any, role: Role, *given: Any, **offered: Any) -> Any:
    """Instantiate a typed component, or return a function to be called later if ``_partial_`` is true.

    Args:
        given: the first arguments.
        offered: the arguments of `Role.offered`.

    Raises:
        UserError: with the key, if the constructor rejects its arguments.
    """
    values = component_values(node)
    target = locate_component(key, values.pop(TARGET), role)
    is_partial = bool(values.pop(PARTIAL, False)) and not role.is_partial
    arguments = {
        name: make_objects(f"{key}.{name}", each) for name, each in values.items() if name not in role.extra_keys
    }
    taken = read_signature(target).arguments
    arguments |= {
        name: each
        for name, each in offered.items()
        if name in taken and arguments.get(name) is None and each is not None
    }
    try:
        arguments = convert_lists(arguments, read_signature(target))
        if is_partial:
            return CalledLater(target, arguments)
        made = _call(target, role, given, arguments)
    except UserError:
        raise
    except Exception as error:  # a user's component can raise any error
        if is_out_of_memory(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else ""
        if any(reason.startswith(f"{name}=") for name in taken):
            raise UserError(f"{key}.{reason}") from None
        is_function = not inspect.isclass(target) and not role.is_partial
        hint = "; a function that is called later needs _partial_: true" if is_function else ""
        raise UserError(f"{key}: {describe_failure(error, component_values(node)[TARGET])}{hint}") from None
    if role.base is not None and not inherits(type(made), role.base):
        name = component_values(node)[TARGET]
        raise UserError(f"{key}.{TARGET}={name}: made a {type(made).__name__}; expected {role.what}")
    return made


def _call(target: Any, role: Role, given: Sequence[Any], arguments: Mapping[str, Any]) -> Any:
    """Call a constructor or a function with the given arguments, by the name of the role where it is not the first."""
    names = given_arguments(target, role)
    if given and names == [role.given_name] and next(iter(read_signature(target).arguments)) != role.given_name:
        return target(**arguments, **dict(zip(names, given, strict=True)))
    with importing():  # the first optimizer of a process imports PyTorch's compiler
        return target(*given, **arguments)


@dataclass(frozen=True, slots=True)
class CalledLater:
    """A function with ``_partial_: true``, which gets its arguments with each call."""

    target: Callable[..., Any]
    arguments: Mapping[str, Any]

    def __call__(self, *given: Any) -> Any:
        """Call the function with the given and the configured arguments."""
        return self.target(*given, **self.arguments)


def make_optimizer(node: Any, parameters: Iterable[Any]) -> Any:
    """Create the configured optimizer for some parameters."""
    return make_component("optimizer", node, OPTIMIZER, parameters)


def make_loss(node: Any) -> Any:
    """Create the configured loss: predictions and targets → a number.

    Raises:
        UserError: if there is none, or its constructor rejects its arguments.
    """
    if node is None:
        raise UserError(f"task.loss=null: no loss to train with; expected a group whose {TARGET} names {LOSS.what}")
    return make_component("task.loss", node, LOSS)


def make_augmentations(
    nodes: Mapping[str, Any], *, domain: str = "features", sample_rate: int | None = None
) -> list[Any]:
    """Create the configured augmentations of one domain in order; see `name_augmentations`."""
    return [*name_augmentations(nodes, domain=domain, sample_rate=sample_rate).values()]


def name_augmentations(
    nodes: Mapping[str, Any], *, domain: str = "features", sample_rate: int | None = None
) -> dict[str, Any]:
    """Create the configured augmentations of one domain in order, by their names.

    Args:
        nodes: name → typed component.
        domain: what they change: ``features`` or ``waveforms``. A class or a function says so by its attribute
            ``domain``; one that does not changes features.
        sample_rate: sample rate of the waveforms in Hz, for augmentations that take it.
    """
    chosen = {
        name: node
        for name, node in nodes.items()
        if get_domain(locate(f"augmentation.{name}.{TARGET}", component_values(node)[TARGET])) == domain
    }
    return {
        name: make_component(f"augmentation.{name}", node, AUGMENTATION, sample_rate=sample_rate)
        for name, node in chosen.items()
    }


def get_domain(target: Any) -> str:
    """Return what an augmentation changes: ``waveforms``, or ``features`` if it does not say."""
    return str(getattr(target, "domain", "features"))


def make_callbacks(nodes: Mapping[str, Any], get_watched: Callable[[str | None], Any]) -> list[Any]:
    """Create the configured Lightning callbacks.

    A callback with an argument ``monitor`` gets a metric and its ``mode`` unless they are configured. Others use the
    name ``mode`` for something else.

    Args:
        get_watched: returns the metric (`config.task.Monitor`) of a configured name; of None, the one that selects the
            best epoch.
    """
    made = []
    for name, node in nodes.items():
        values, key = component_values(node), f"callbacks.{name}"
        offered = {}
        if "monitor" in read_signature(locate_component(key, values[TARGET], CALLBACK)).arguments:
            found = get_watched(values.get("monitor"))
            offered = {"monitor": found.metric, "mode": found.mode}
        made.append(make_component(key, node, CALLBACK, **offered))
    return made

"""One-line messages for errors of Hydra and OmegaConf, with the key and the nearest correct one."""

import difflib
import itertools
import re
import shlex
from collections.abc import Sequence
from typing import Any

from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.config.checks import GROUPS, SEVERAL
from dcase_sweep.config.classes import locate
from dcase_sweep.config.components import SINGLE
from dcase_sweep.config.files import read_config
from dcase_sweep.config.folders import conf_folder, experiment_folders
from dcase_sweep.config.hydra_hints import explain_call, explain_key, find_missing
from dcase_sweep.config.initialized import initialized
from dcase_sweep.config.path_words import holds_path, typed_word
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.config.signatures import TARGET, read_signature
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import LONGEST, printable, suggest

#: The values of a sweep in the words of Hydra's grammar.
_SWEEP = re.compile(r"^(?:choice|shuffle|sort)\((.*)\)$")
#: The functions that describe values of a sweep or a search, as they are called.
_FUNCTIONS = {
    "choice": "choice(A,B,...)",
    "range": "range(START,END[,STEP])",
    "interval": "interval(LOW,HIGH)",
    "tag": "tag(log,interval(LOW,HIGH))",
}
#: Largest number of combinations of a sweep that are searched for the intended key.
_COMPOSED_FOR_HINTS = 16


def explain(error: Exception, arguments: Sequence[str] = ()) -> str:
    """Shorten an error of Hydra or OmegaConf to one line: the key, what was found, and the nearest correct key.

    Args:
        arguments: the command-line arguments. Their choices and folders determine the known keys.
    """
    for explained in (_explain_override, _explain_value, _explain_class, _explain_choice):
        line = explained(error, arguments)
        if line is not None:
            return line
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, OmegaConfBaseException) and error.full_key and lines:
        return f"{error.full_key}: {lines[0]}"
    return "; ".join(lines[:2])


def _explain_override(error: Exception, arguments: Sequence[str]) -> str | None:
    """Explain an override of a key that does not exist."""
    text = str(error)
    hydra = next((word for word in arguments if word.lstrip("+").startswith("hydra=")), None)
    if hydra is not None and re.search(r"Could not override 'hydra'|Could not find 'hydra/[^/']*'", text):
        typed = printable(hydra.lstrip("+").replace("'", ""))
        return f"{typed}: no such choice; write hydra.KEY=VALUE, e.g. hydra.run.dir=FOLDER"
    override = re.search(r"Could not override '([^']+)'", text)
    if not override:
        return None
    in_file = re.search(r"In '([^']+)': Could not override '([^']+)'", text)
    if in_file:
        return _explain_default(in_file[1], in_file[2])
    group = re.search(r"To append to your default list use (\S+)", text)
    if group:
        return f"{override[1]}: nothing is chosen yet that could be replaced; write {group[1]}"
    if _is_of_searches(str(getattr(error.__cause__, "full_key", override[1]))):
        return f"{override[1]}: a search has this key, and a grid does not; add hydra/sweeper=optuna"
    key = find_missing(override[1], error.__cause__)
    if override[1].startswith("hydra.") and error.__cause__ is not None:
        return explain_key(key, error.__cause__)
    return f"{key}: {_how_to_add(key, arguments) or f'no such key; {_nearest_key(key, arguments)}'}"


def _explain_default(name: str, group: str) -> str:
    """Explain a file whose list of defaults overrides a group that does not exist, or is chosen after the file.

    Args:
        name: the file as a choice: ``task/tagging``.
        group: the group that it overrides.
    """
    if group not in GROUPS:
        hint = suggest(group, GROUPS, otherwise=f"expected one of {', '.join(GROUPS)}")
        return f"{name}: override /{group}: nothing of this name is chosen before it; {hint}"
    own = "task.model: NAME in it, or " if (name.partition("/")[0], group) == ("task", "model") else ""
    return (
        f"{name}: override /{group}: a file can only override what is chosen before it; expected {own}{group}=NAME on "
        "the command line or in an experiment"
    )


def _explain_value(error: Exception, arguments: Sequence[str]) -> str | None:
    """Explain an override that removes a needed group, has a value that its key cannot have, or cannot be read."""
    text = str(error)
    needed = re.search(r"Error resolving interpolation '([^']+)'", text)
    removed = [word[1:] for word in arguments if needed and f"${{{word[1:]}}}" in needed[1] and word.startswith("~")]
    if removed:
        return f"~{removed[0]}: an experiment needs it; {removed[0]}=NAME chooses another"
    merged = re.search(r"Error merging override (.+)", text)
    if merged:
        cause = str(error.__cause__ or "").strip().splitlines()
        return f"{printable(merged[1])}: {cause[0] if cause else 'a value that its key cannot have'}"
    several = re.search(r"Ambiguous value for argument '(.+)'$", text.splitlines()[0] if text else "")
    if several:
        return f"{printable(several[1])}: several values; add -m to run each of them{_how_else(several[1])}"
    if not isinstance(error, OverrideParseException):
        return None
    if "=" not in error.override and not error.override.startswith("~"):
        return f"{printable(error.override)}: no value; expected KEY=VALUE"
    if re.search(r"choice\(\s*\)", error.override):
        return f"{printable(error.override)}: an empty choice; expected values in the brackets"
    called = re.search(r" while evaluating '(\w+)\(.*': (.+)", text)
    if called:
        return f"{printable(error.override)}: {_explain_function(called[1], called[2], error.override)}"
    return f"{printable(error.override)}: cannot be read as KEY=VALUE; {_how_to_type(error.override)}"


def _explain_class(error: Exception, arguments: Sequence[str]) -> str | None:
    """Explain why a class of Hydra's own, such as a sweeper, could not be created."""
    text = str(error)
    called = re.search(r"Error (?:in call to|locating) target '([^']+)'", text)
    if not called:
        return None
    where = re.search(r"full_key: (\S+)", text)
    key = where[1] if where else "hydra.sweeper" if "Sweeper" in called[1] else "hydra.launcher"
    return explain_call(key, called[1], str(error.__cause__ or "no such class").splitlines()[0].rstrip(":"))


def _explain_choice(error: Exception, arguments: Sequence[str]) -> str | None:
    """Explain a choice of a group that does not exist, is made twice, or does not fit another one."""
    text = str(error)
    twice = re.search(r"Multiple values for (\S+?)\. To override", text)
    if twice:
        return f"+{twice[1]}: one is chosen already; write {twice[1]}=NAME to choose another"
    primary = re.search(r"Cannot find primary config '([^']+)'", text)
    if primary:
        return f"--config-name {primary[1]}: no such file; leave it out, or name its folder with --config-path too"
    none = re.search(r"You must specify '([^']+)', e\.g", text)
    if none:
        offered = SearchPath.of_arguments(arguments).choices(none[1])
        return f"{none[1]}: no choice (???); expected one of {', '.join(offered)}"
    choice = re.search(r"Could not find '([^']+)/([^/']*)'", text)
    if choice:
        offered = [line.strip() for line in text.splitlines() if line.startswith("\t")]
        offered = [line for line in offered if not line.startswith("provider=")]
        near = difflib.get_close_matches(choice[2], offered, n=1)
        hint = f"did you mean {choice[1]}={near[0]}? " if near else ""
        return f"{choice[1]}={choice[2]}: no such choice; {hint}expected one of {', '.join(offered)}"
    merge = re.search(r"In '([^']+)': ConfigTypeError raised while composing config:\s*Cannot merge", text)
    return _explain_merge(merge[1], arguments) if merge else None


def _explain_merge(name: str, arguments: Sequence[str]) -> str:
    """Name the key of a file that has keys for a list of another file, or a list for its keys.

    Args:
        name: the file as a choice: ``experiment/first``.
        arguments: the command-line arguments.
    """
    group, _, choice = name.rpartition("/")
    path = SearchPath.of_arguments(arguments)
    places = [path.find(group, choice), *(folder / f"{choice}.yaml" for folder in experiment_folders())]
    file = next((place for place in places if place is not None and place.is_file()), None)
    if file is None:
        return f"{name}: keys where another file has a list, or a list where it has keys; expected the same"
    content: Any = read_config(file)
    if "@package _global_" not in file.read_text(encoding="utf-8-sig"):
        for part in reversed(group.split("/")):
            content = {part: content}
    others = [word for word in arguments if word.partition("=")[0].lstrip("+") != group]
    for composed in _compose(others):
        found = _find_mismatch(content, OmegaConf.to_container(composed, resolve=False))
        if found is not None:
            key, is_list = found
            kinds = ("keys", "a list") if is_list else ("a list", "keys")
            fix = f"write the whole list, or {key}.0=VALUE on the command line" if is_list else "write its keys"
            return f"{file}: {key}: {kinds[0]}, where another file has {kinds[1]}; {fix}"
    return f"{file}: keys where another file has a list, or a list where it has keys; expected the same"


def _find_mismatch(new: Any, old: Any, key: str = "") -> tuple[str, bool] | None:
    """Return the first key at which one value is a list and the other has keys, and whether the old one is the list."""
    if {type(new), type(old)} == {list, dict}:
        return key, isinstance(old, list)
    if isinstance(new, dict) and isinstance(old, dict):
        for name, value in new.items():
            found = _find_mismatch(value, old.get(name), f"{key}.{name}" if key else str(name))
            if found is not None:
                return found
    return None


def _explain_function(name: str, reason: str, word: str) -> str:
    """Explain why a function of Hydra's grammar could not be called.

    Args:
        name: the function.
        reason: Hydra's reason.
        word: the override.
    """
    if reason.startswith("Unknown function"):
        offered = f"expected {', '.join(_FUNCTIONS.values())}"
        return f"no such function; {suggest(name, _FUNCTIONS, otherwise=offered)}"
    if name == "choice" and "NoneType" in reason:
        return f"choice() takes no null; leave out the function: {word.partition('=')[0]}=null,..."
    return f"{printable(reason)}; expected {_FUNCTIONS.get(name, 'other arguments')}"


def _how_to_type(word: str) -> str:
    """Return what to type instead of a word that Hydra cannot parse: the quoted word, if it is KEY=VALUE."""
    key, equals, value = word.partition("=")
    if not equals or not key or not value or len(value) > LONGEST:
        return "brackets and quotes come in pairs"
    return f"brackets and quotes come in pairs; for a text, type {typed_word(key, value.strip())}"


def _how_else(word: str) -> str:
    """Return what several values can mean except a sweep: nothing for a group, one path, or a list."""
    key, _, value = word.partition("=")
    if "/" in key or key in GROUPS:
        return ""
    if holds_path(key):
        return f", or type {typed_word(key, value)} for one path"
    return f", or type {shlex.quote(f'{key}=[{value}]')} for a list"


def _how_to_add(key: str, arguments: Sequence[str]) -> str:
    """What to type for a key that a component takes without its file setting it, or whose choice is not made."""
    composed = _compose_choices(arguments)
    above, _, name = key.rpartition(".")
    if above == "tracking.tags":  # the names are free
        return f"no such key; +{key}=VALUE adds it"
    if any(key in flat for flat in composed):  # other choices of a sweep do not have it
        return ""
    typed = [word.partition("=")[2] for word in arguments if word.lstrip("+").startswith(f"{above}.{TARGET}=")]
    targets = {*typed} or {str(flat[f"{above}.{TARGET}"]) for flat in composed if flat.get(f"{above}.{TARGET}")}
    if targets and all(_takes(above, target, name) for target in targets):
        return f"not in the configuration of {above}; +{key}=VALUE adds it"
    group, _, rest = key.partition(".")
    choice = rest.partition(".")[0]
    is_chosen = any(found.startswith(f"{group}.{choice}.") for flat in composed for found in flat)
    if group in SEVERAL and not is_chosen and choice in SearchPath.of_arguments(arguments).choices(group):
        return f"{choice} is not chosen; expected {group}={choice}, or it in a list: {group}=[...,{choice}]"
    return ""


def _takes(key: str, target: str, name: str) -> bool:
    """Whether the class or function of a component has an argument of this name."""
    role = SINGLE.get(key)
    try:
        return name in read_signature(locate(key, target)).arguments or (role is not None and name in role.extra_keys)
    except UserError:
        return False


def _known_keys(arguments: Sequence[str]) -> set[str]:
    """Return the keys of the configurations that the arguments select, and those above them."""
    flat = [name for each in _compose_choices(arguments) for name in each]
    return {".".join(name.split(".")[:depth]) for name in flat for depth in range(1, name.count(".") + 2)}


def _compose_choices(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return the flat configurations that the arguments select. Sweeps select several."""
    from dcase_sweep.config import flatten

    return [flatten(each) for each in _compose(arguments)]


def _compose(arguments: Sequence[str]) -> list[DictConfig]:
    """Return the configurations that the arguments select, without other values on the command line."""
    from hydra import compose

    path = SearchPath.of_arguments(arguments)
    chosen = [word.partition("=") for word in arguments if path.has_group(word.partition("=")[0].lstrip("+") or "/")]
    # A list is one choice of several files.
    each = [
        [f"{key}={value}" for value in ([values] if values.startswith("[") else values.split(","))]
        for key, values in ((key, _SWEEP.sub(r"\1", values)) for key, _, values in chosen)
        if values
    ]
    composed: list[DictConfig] = []
    with initialized():
        for choices in itertools.islice(itertools.product(*each), _COMPOSED_FOR_HINTS):
            try:
                composed.append(compose("config", [*path.overrides, *choices]))
            except (HydraException, OmegaConfBaseException):  # one error is reported at a time
                composed.append(compose("config"))
    return composed


def _nearest_key(key: str, arguments: Sequence[str]) -> str:
    known = _known_keys(arguments)
    above = key.rpartition(".")[0]
    if key in known:
        return "only some of these choices have it"
    if above in known and not any(name.startswith(above + ".") for name in known):
        return f"{above} is null with these choices"
    beside = sorted(name.rpartition(".")[2] for name in known if above and name.rpartition(".")[0] == above)
    if beside:  # what is right about the key must not count as resemblance
        shown = ", ".join(name for name in beside if not name.startswith("_"))
        name = key.rpartition(".")[2]
        none = f"{above} has no keys; +{above}.NAME=VALUE adds an argument of its class or function"
        otherwise = f"expected one of {shown}" if shown else none
        return suggest(name, beside, prefix=f"{above}.", otherwise=otherwise)
    group = key.split(".")[0]
    inside = sorted({name.split(".")[1] for name in known if name.startswith(group + ".")})
    expected = ", ".join(inside or sorted({name.split(".")[0] for name in known}))
    return suggest(key, sorted(known), otherwise=f"expected one of {expected}")


def _is_of_searches(key: str) -> bool:
    """Whether it is one of the settings of Optuna's sweeper. If keys below it are missing, that sweeper is chosen."""
    settings: Any = OmegaConf.load(conf_folder() / "hydra" / "sweeper" / "optuna.yaml")
    above, _, name = key.rpartition(".")
    return above == "hydra.sweeper" and name in (*settings, "sampler", "pruner")

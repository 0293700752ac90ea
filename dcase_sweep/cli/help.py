"""``--help`` of the experiment command, and ``help KEY``: every group and every value with its description.

Hydra's own help lists names without descriptions, and is slower: it copies its store of files for each group.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.config.bounds import BOUNDS
from dcase_sweep.config.checks import SEVERAL
from dcase_sweep.config.descriptions import (
    describe_key,
    describe_target,
    group_comments,
    leaves,
    section_classes,
    summarize,
    yaml_comments,
    yaml_summary,
)
from dcase_sweep.config.folders import conf_folder
from dcase_sweep.config.initialized import initialized
from dcase_sweep.config.schemas import Evaluation, SceneEvaluation
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.lookalikes import shorten
from dcase_sweep.utils.overrides import combinations, to_text
from dcase_sweep.utils.secrets import mask_values
from dcase_sweep.utils.text import suggest
from dcase_sweep.utils.text_table import terminal_width

#: Lines are no longer on a wide terminal; the column of descriptions, and letters of a value at most.
_WIDEST, _COLUMN, _LONGEST = 100, 34, 60
_DEFAULT = re.compile(r"\s*- (?:optional )?(\w+): .*?# (.*)")
#: Sections in the order in which people need them; others follow.
_ORDER = ("task", "data", "front_end", "model", "training", "optimizer", "scheduler", "augmentation", "callbacks")
_EVALUATIONS = (SceneEvaluation, Evaluation)
#: Parts of a configuration that are not set by users.
_HIDDEN = ("_target_", "_partial_", "_recursive_")
#: The sweepers, whose keys are set as ``hydra.sweeper.KEY``, and the folders of Hydra that users set.
_SWEEPERS = ("grid", "optuna", "optuna_workers")
_HYDRA_FILES = Path(__file__).parents[1] / "sweep" / "conf" / "hydra" / "sweeper"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the configuration: its title, what it is, and ``KEY=VALUE`` → description."""

    title: str
    summary: str
    values: dict[str, str]


def print_help(words: Sequence[str], path: SearchPath, topic: str | None = None) -> None:
    """Print the help for the configuration that some overrides compose.

    Args:
        words: overrides; of several values the first one counts.
        path: the user's folders of configuration files.
        topic: a group, a section or a key, to print nothing else; None = everything.

    Raises:
        UserError: for a topic that there is not.
    """
    width = min(terminal_width() or 80, _WIDEST)
    config = _compose(words, path)
    sections = [*_sections(config, path), *_hydra_sections()]
    if topic is not None:
        print("\n".join(_describe_topic(topic, sections, path, width)))
        return
    parts = {
        "$APP_CONFIG_GROUPS": "\n".join(_list_groups(config, path, width)),
        "$CONFIG": "\n\n".join("\n".join(_format(section, width)) for section in sections),
    }
    help_file = yaml.safe_load((conf_folder() / "hydra" / "help" / "dcase_sweep.yaml").read_text(encoding="utf-8"))
    text = str(help_file["template"])
    for name in ("header", "footer"):
        text = text.replace(f"${{hydra.help.{name}}}", textwrap.fill(help_file[name], width))
    for name, part in parts.items():
        text = text.replace(name, part)
    print(text.rstrip())


def _compose(words: Sequence[str], path: SearchPath) -> DictConfig:
    with initialized():
        job = combinations(path.make_parser(), list(words))[0]
        return compose("config", [*path.overrides, *job], return_hydra_config=True)


def _list_groups(config: DictConfig, path: SearchPath, width: int) -> Iterator[str]:
    """A line for each group: what it is, and its choices, that of this configuration in brackets."""
    for group, what in _group_texts().items():
        chosen = str(config.hydra.runtime.choices.get(group))
        choices = ", ".join(f"[{name}]" if name == chosen else name for name in path.choices(group))
        yield _hang(f"  {group:<14}", f"{what}: {choices}", 16, width)


def _group_texts() -> dict[str, str]:
    """What each group is, from the comments in the defaults list of ``config.yaml``."""
    found = {}
    for line in (conf_folder() / "config.yaml").read_text(encoding="utf-8").splitlines():
        if match := _DEFAULT.match(line):
            found[match[1]] = re.split("[;:]", match[2])[0].strip()
    found["front_end"] = "features of the network"  # chosen by the task
    found["experiment"] = "settings of a published or reported result, as +experiment=NAME"
    order = [*_ORDER, *found]
    return {group: found[group] for group in dict.fromkeys(order) if group in found and group != "task_data"}


def _sections(config: DictConfig, path: SearchPath) -> Iterator[Section]:
    """The sections of the configuration; keys without a section come first."""
    choices = config.hydra.runtime.choices
    shown = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    try:
        plain: Any = OmegaConf.to_container(shown, resolve=True)
    except OmegaConfBaseException:  # a reference that this configuration does not resolve
        plain = OmegaConf.to_container(shown, resolve=False)
    plain = mask_values(plain)
    comments: dict[str, str] = dict(yaml_comments(conf_folder() / "config.yaml"))
    chosen = [(str(group), str(choice)) for group, choice in choices.items()]
    for group, name in [*((each, name) for each in SEVERAL for name in path.choices(each)), *chosen]:
        if (file := path.find(group, name)) is not None:
            comments |= group_comments(group, file)
    alone = {key: value for key, value in plain.items() if not isinstance(value, dict)}
    yield _section("Experiment", "", alone, plain, comments)
    for key in [*_ORDER, *(key for key in plain if key not in _ORDER)]:
        value = plain.get(key)
        if not isinstance(value, dict):
            continue
        choice = choices.get(key)
        title = key if choice is None else f"{key}={choice}"
        yield _section(title, _summarize_section(key, value, path, str(choice)), {key: value}, plain, comments)


def _summarize_section(key: str, value: dict[str, Any], path: SearchPath, choice: str) -> str:
    target = value.get("_target_")
    summary = describe_target(target).summary if isinstance(target, str) else ""
    section = section_classes().get(key)
    if key == "evaluation":
        section = next((each for each in _EVALUATIONS if value.keys() <= {one.name for one in fields(each)}), None)
    if not summary and section is not None and not isinstance(target, str):
        summary = summarize(section.__doc__ or "")
    file = path.find(key, choice)
    return _plain(summary or ("" if file is None else yaml_summary(file)))


def _section(
    title: str, summary: str, values: dict[str, Any], composed: dict[str, Any], comments: dict[str, str]
) -> Section:
    found = {}
    for key, value in leaves(values):
        if key and key.rpartition(".")[2] not in _HIDDEN and not (isinstance(value, dict) and "." not in key):
            found[f"{key}={_show(value)}"] = _plain(describe_key(key, composed, comments))
    return Section(title, summary, found)


def _hydra_sections() -> Iterator[Section]:
    """Folders of runs and sweeps, and the keys of the sweepers."""
    comments = yaml_comments(conf_folder() / "command_line.yaml")
    loaded: Any = OmegaConf.to_container(OmegaConf.load(conf_folder() / "command_line.yaml"))
    hydra = {name: loaded["hydra"][name] for name in ("run", "sweep")}
    folders = {f"hydra.{key}": value for key, value in leaves(hydra)}
    yield Section(
        "Folders",
        "Where the files of a run and of a sweep are.",
        {f"{key}={_show(value)}": _plain(comments.get(key, "")) for key, value in folders.items()},
    )
    for name in _SWEEPERS:
        own = conf_folder() / "hydra" / "sweeper" / f"{name}.yaml"
        file = own if own.is_file() else _HYDRA_FILES / f"{name}.yaml"
        settings: Any = OmegaConf.to_container(OmegaConf.load(file))
        comments = yaml_comments(file)
        values = {
            f"hydra.sweeper.{key}={_show(value)}": _plain(comments.get(key, ""))
            for key, value in settings.items()
            if key not in (*_HIDDEN, "defaults")
        }
        yield Section(f"hydra/sweeper={name}", yaml_summary(file), values)


def _describe_topic(topic: str, sections: Sequence[Section], path: SearchPath, width: int) -> Iterator[str]:
    """The choices of a group and the keys of a section or below a key."""
    name = topic.lstrip("+")
    is_known = False
    if path.has_group(name) and name not in ("task_data",):
        is_known = True
        yield f"{name}={'|'.join(path.choices(name))}"
        for choice in path.choices(name):
            file = path.find(name, choice)
            summary = "" if file is None else yaml_summary(file)
            yield _hang(f"  {choice:<18}", summary, 20, width)
    for section in sections:
        titles = (section.title, section.title.partition("=")[0])
        values = {
            shown: text
            for shown, text in section.values.items()
            if name in titles or shown.partition("=")[0] == name or shown.startswith(f"{name}.")
        }
        if not values:
            continue
        if is_known:
            yield ""
        is_known = True
        yield from _format(Section(section.title, section.summary, values), width)
        if len(values) == 1 and (bounds := BOUNDS.get(name)) is not None:
            low, high = (None if each is None else f"{each:,.10g}" for each in bounds)
            limits = [f"at least {low}" if low else "", f"at most {high}" if high else ""]
            yield f"  Range: {', '.join(filter(None, limits))}."
    if not is_known:
        keys = [shown.partition("=")[0] for section in sections for shown in section.values]
        hint = suggest(name, [*keys, *_group_texts()], otherwise="python -m dcase_sweep --help lists them all")
        raise UserError(f"help {topic}: no such verb, group or key; {hint}")


def _format(section: Section, width: int) -> Iterator[str]:
    yield _hang(f"{section.title}", f": {section.summary}" if section.summary else "", 4, width)
    for shown, text in section.values.items():
        begin = f"  {shown}"
        if not text:
            yield begin
        elif len(begin) < _COLUMN:
            yield _hang(begin.ljust(_COLUMN), text, _COLUMN, width)
        else:
            yield begin
            yield _hang(" " * _COLUMN, text, _COLUMN, width)


def _hang(begin: str, text: str, indent: int, width: int) -> str:
    """A line that goes on under its text."""
    return textwrap.fill(
        f"{begin}{text}",
        width,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
        drop_whitespace=True,
        initial_indent="",
    )


def _show(value: Any) -> str:
    return shorten(to_text(value).replace("\n", " "), _LONGEST)


def _plain(text: str) -> str:
    """A description without the marks of its source."""
    return text.replace("``", "").replace("`", "").strip()

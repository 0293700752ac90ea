"""Reading of configuration files in bounded time, with one line for each error."""

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dcase_sweep.config.checks import GROUPS, SEVERAL
from dcase_sweep.sweep.plugins import load_plugins
from dcase_sweep.utils.errors import UserError

#: Limits far above the size of a configuration, which is about a page, and far below sizes that take seconds to read.
_MOST_BYTES, _MOST_VALUES, _DEEPEST = 256 * 1024, 20_000, 50
_EXPECTED = "expected a configuration like those in conf/: keys and values in YAML"


def read_config(path: Path) -> dict[str, Any]:
    """Read the keys and values of a file, with interpolations unresolved.

    Raises:
        UserError: in one line, for a file that is not a configuration.
    """
    check_config(path)
    try:
        found = OmegaConf.to_container(OmegaConf.load(path))
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        raise UserError(_explain(path, error)) from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: a {type(found).__name__}, no keys; {_EXPECTED}")
    return {str(key): value for key, value in found.items()}


def check_config(path: Path) -> None:
    """Check a file for errors and for constructs that exhaust memory, such as aliases that expand to millions of
    values.

    Raises:
        UserError: in one line with the file, the error and its location.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path}: not a file; {_EXPECTED}")
        if status.st_size > _MOST_BYTES:
            raise UserError(
                f"{path}: {status.st_size / 1024:,.0f} KiB, more than {_MOST_BYTES // 1024} KiB; {_EXPECTED}"
            )
        text = path.read_bytes().decode("utf-8-sig")
        values = _count_values(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; {_EXPECTED}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(_explain(path, error)) from None
    if values > _MOST_VALUES:
        raise UserError(f"{path}: {values:,} values with its aliases expanded, more than {_MOST_VALUES:,}; {_EXPECTED}")


def _count_values(events: Iterator[Any]) -> int:
    """Count the values of a document with its aliases expanded, without expanding them.

    Raises:
        ValueError: for an alias within its own anchor, excessive nesting, or a second document.
    """
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = documents = 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise ValueError(f"line {line}: a second document")
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in {anchor for anchor, _ in open_nodes}:
                raise ValueError(f"line {line}: the alias *{event.anchor} is within its own anchor")
            total += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            total += 1
            open_nodes.append((event.anchor, total - 1))
            if len(open_nodes) > _DEEPEST:
                raise ValueError(f"line {line}: nested more than {_DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
        if total > 10**12:
            break
    return total


def _explain(path: Path, error: Exception) -> str:
    """Shorten the error of a parser to one line."""
    if isinstance(error, UnicodeDecodeError):
        return f"{path}: not text in UTF-8 (byte {error.start}); {_EXPECTED}"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark is not None else ""
        return f"{path}: {where}{' '.join(str(error.problem or error.context).split())[:200]}; {_EXPECTED}"
    return f"{path}: {' '.join(str(error).split())[:200]}; {_EXPECTED}"


class CheckedConfigSource(FileConfigSource):
    """Hydra's source of configuration files, with a check of each file before it is read."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Load a configuration by its path under the root of the source.

        Raises:
            UserError: in one line, for a file that is not a configuration.
        """
        path = Path(self.path, self._normalize_file_name(config_path)).resolve()
        if path.exists():
            check_config(path)
        try:
            result = super().load_config(config_path)
        except (yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
            raise UserError(_explain(path, error)) from None
        if not OmegaConf.is_dict(result.config):
            raise UserError(f"{path}: no keys and values; {_EXPECTED}")
        content: Any = OmegaConf.to_container(result.config, resolve=False)
        defaults = content.get("defaults")
        if defaults is not None and not isinstance(defaults, list):
            raise UserError(f"{path}: defaults is not a list; {_EXPECTED}")
        for each in defaults or []:
            for group, choice in each.items() if isinstance(each, dict) else ():
                name = re.sub(r"^(override |optional )*/?|@.*", "", str(group))
                if isinstance(choice, list) and name in GROUPS and name not in SEVERAL:
                    raise UserError(f"{path}: {group}: {choice}: not one choice; expected one name")
        return result


# A launcher's process takes over the registry and searches for plugins again. Hydra identifies sources by their names,
# and keeps an existing source that has the name of its own.
CheckedConfigSource.__name__ = FileConfigSource.__name__


def register_config_source() -> None:
    """Let Hydra read all configuration files through `CheckedConfigSource`.

    Hydra registers its own source of files when it searches for plugins, and has no public way to replace it.
    """
    load_plugins()
    SourcesRegistry.instance().types[FileConfigSource.scheme()] = CheckedConfigSource


@contextmanager
def restored_config_source() -> Iterator[None]:
    """Restore Hydra's source of files on exit, for other applications in this process."""
    load_plugins()
    types, scheme = SourcesRegistry.instance().types, FileConfigSource.scheme()
    before = types[scheme]
    try:
        yield
    finally:
        types[scheme] = before

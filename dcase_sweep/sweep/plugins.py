"""Hydra's plugins: it finds the classes of sweepers and launchers in the namespace package ``hydra_plugins``."""

import inspect
import re
import sys
import warnings
from importlib import import_module
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath, SearchPathElement
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable, suggest

#: The package of plugins. It must be a namespace package, so that several folders can contain a part of it.
NAMESPACE = "hydra_plugins"

Kind = type[Launcher] | type[Sweeper]


def load_plugins() -> None:
    """Let Hydra import its plugins, unless it has. A module that lacks something is reported in one line.

    Raises:
        UserError: with the file and the line, for a module whose import fails otherwise. Hydra needs all of them.
    """
    with warnings.catch_warnings(record=True) as caught:
        try:
            Plugins.instance()
        except Exception as error:
            where = _find_line(error)
            if where is None:
                raise
            raise UserError(
                f"{where}: {_describe(error)}; Hydra imports every module of {NAMESPACE}, so correct or uninstall it"
            ) from error
    for each in caught:
        found = re.search(r"Error importing '([^']+)'.*\n\s*(\S.*)$", str(each.message).strip(), re.DOTALL)
        if found is None:
            warnings.showwarning(each.message, each.category, each.filename, each.lineno, each.file, each.line)
        else:
            reason = printable(found[2].replace(" : ", ": "))
            print(f"warning: {found[1]} cannot be imported ({reason}); its plugins are missing", file=sys.stderr)


class _Places(ConfigSearchPath):
    """A search path that is only listed."""

    def __init__(self) -> None:
        self._elements: list[SearchPathElement] = []

    def get_path(self) -> list[SearchPathElement]:
        return self._elements

    def append(self, provider: str, path: str, anchor: object = None) -> None:
        self._elements.append(SearchPathElement(provider, path))

    def prepend(self, provider: str, path: str, anchor: object = None) -> None:
        self._elements.insert(0, SearchPathElement(provider, path))


def list_plugin_places() -> list[str]:
    """Return the entries that plugins add to the search path of configuration files: ``pkg://birds.conf``."""
    places = _Places()
    for found in Plugins.instance().discover(SearchPathPlugin):
        assert issubclass(found, SearchPathPlugin)
        found().manipulate_search_path(places)
    return [element.path for element in places.get_path() if element.path is not None]


def check_plugin(key: str, target: str, kind: Kind) -> None:
    """Check that Hydra has found the class of a sweeper or a launcher.

    Args:
        key: the key, ``hydra.launcher._target_``.
        target: the full name of the class.
        kind: what it must be derived from.

    Raises:
        UserError: if not, with what to do.
    """
    if target not in {f"{found.__module__}.{found.__name__}" for found in Plugins.instance().discover(kind)}:
        raise UserError(explain_plugin(key, target, kind))


def explain_plugin(key: str, target: str, kind: Kind) -> str:
    """Explain why Hydra does not know a class, in one line with what to do. Arguments as of `check_plugin`."""
    where, noun = f"{key}={printable(target)}", kind.__name__.lower()
    module, _, name = target.rpartition(".")
    if not Plugins.is_in_toplevel_plugins_module(target):
        return f"{where}: Hydra looks for a {noun} in the package {NAMESPACE}; expected {NAMESPACE}.MODULE.CLASS"
    try:
        found = getattr(import_module(module), name, None)
    except Exception as error:
        return f"{where}: {_explain_import(error, module)}"
    if found is None:
        names = [each for each, value in vars(sys.modules[module]).items() if _is_of_kind(value, kind)]
        return f"{where}: {module} has no {name}; {suggest(name, names, otherwise=f'expected a {noun} of it')}"
    if not _is_of_kind(found, kind):
        return f"{where}: not a {noun}; expected a class derived from {kind.__module__}.{kind.__name__}"
    if inspect.isabstract(found):
        return f"{where}: lacks {', '.join(sorted(found.__abstractmethods__))}; expected all methods of a {noun}"
    defined = f"{found.__module__}.{found.__name__}"
    if not Plugins.is_in_toplevel_plugins_module(defined):
        return f"{where}: defined in {found.__module__}; expected a class that is derived from it in {module}"
    if defined != target:
        return f"{where}: defined in {found.__module__}; expected {key}={defined}"
    return (
        f"{where}: can be imported, but is in no folder of Python's search path, where Hydra looks; install its "
        "package without -e, or with --config-settings editable_mode=compat"
    )


def _explain_import(error: Exception, module: str) -> str:
    """Explain why a module of the package cannot be imported."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None or not f"{module}.".startswith(f"{missing}."):
        return f"{module} cannot be imported ({_describe(error)})"
    hiding = getattr(sys.modules.get(NAMESPACE), "__file__", None)
    if hiding is not None:
        return f"{hiding} hides the plugins of other folders; remove this file"
    return f"no module {missing}; expected {module.replace('.', '/')}.py in the working folder or an installed package"


def _is_of_kind(found: object, kind: Kind) -> bool:
    return isinstance(found, type) and issubclass(found, kind)


def _describe(error: Exception) -> str:
    words = error.msg if isinstance(error, SyntaxError) else str(error)
    return printable(f"{type(error).__name__}: {words}" if words else type(error).__name__)


def _find_line(error: BaseException) -> str | None:
    """Return the line of a plugin at which its import failed: ``hydra_plugins/mine.py, line 3``; None without one."""
    places = [(error.filename, error.lineno)] if isinstance(error, SyntaxError) else []
    trace = error.__traceback__
    while trace is not None:
        places.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    own = [(path, line) for path, line in places if path and NAMESPACE in Path(path).parts]
    return f"{own[-1][0]}, line {own[-1][1]}" if own else None

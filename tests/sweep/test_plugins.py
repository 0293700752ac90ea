"""Why Hydra does not know the class of a sweeper or a launcher, in one line."""

import subprocess
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper

from dcase_sweep.sweep.plugins import check_plugin, explain_plugin
from dcase_sweep.utils.errors import UserError

KEY = "hydra.sweeper._target_"
FOUND = "hydra_plugins.dcase_sweep.GridSweeper"
MINE = """
from hydra.plugins.sweeper import Sweeper
from dcase_sweep.sweep.grid import GridSweeper as Base
from hydra_plugins.dcase_sweep import GridSweeper

class Grid(Base):
    pass

class Half(Sweeper):
    def setup(self, **_):
        pass
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's search path with the beginning of a plugin package."""
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "hydra_plugins"
    folder.mkdir()
    for name in [name for name in sys.modules if name.startswith("hydra_plugins.own_")]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def test_a_class_that_hydra_has_found_is_accepted() -> None:
    check_plugin(KEY, FOUND, Sweeper)
    check_plugin("hydra.launcher._target_", "hydra._internal.core_plugins.basic_launcher.BasicLauncher", Launcher)

    with pytest.raises(UserError, match=r"^hydra\.launcher\._target_=\S+GridSweeper: not a launcher; "):
        check_plugin("hydra.launcher._target_", FOUND, Launcher)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("hydra_plugins.own_a.Gird", "hydra_plugins.own_a has no Gird; did you mean Grid?"),
        ("hydra_plugins.own_a.Half", "lacks sweep; expected all methods of a sweeper"),
        ("hydra_plugins.own_a.GridSweeper", f"defined in hydra_plugins.dcase_sweep; expected {KEY}={FOUND}"),
        (
            "hydra_plugins.own_a.Base",
            "defined in dcase_sweep.sweep.grid; expected a class that is derived from it in hydra_plugins.own_a",
        ),
        ("own.Grid", "Hydra looks for a sweeper in the package hydra_plugins; expected hydra_plugins.MODULE.CLASS"),
        (
            "hydra_plugins.own_b.Grid",
            "no module hydra_plugins.own_b; expected hydra_plugins/own_b.py in the working folder or an installed "
            "package",
        ),
        (
            "hydra_plugins.own_c.Grid",
            "hydra_plugins.own_c cannot be imported (ModuleNotFoundError: No module named 'no_such_package')",
        ),
    ],
)
def test_the_reason_and_what_to_do(name: str, line: str, own: Path) -> None:
    (own / "own_a.py").write_text(MINE)
    (own / "own_c.py").write_text("import no_such_package\n")

    assert explain_plugin(KEY, name, Sweeper) == f"{KEY}={name}: {line}"


def test_a_package_that_an_editable_installation_adds_to_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """setuptools imports it by a finder of its own; Hydra lists folders."""
    module = tmp_path / "own_e.py"
    module.write_text(MINE)

    class Finder(MetaPathFinder):
        def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
            return spec_from_file_location(name, module) if name == "hydra_plugins.own_e" else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])

    with pytest.raises(UserError, match=r"can be imported, but is in no folder .*--config-settings editable_mode=com"):
        check_plugin(KEY, "hydra_plugins.own_e.Grid", Sweeper)


def load(folder: Path) -> subprocess.CompletedProcess[str]:
    """Let Hydra look for plugins in a process of its own."""
    code = f"""
from dcase_sweep.sweep.plugins import explain_plugin, load_plugins
from dcase_sweep.utils.errors import UserError
from hydra.plugins.sweeper import Sweeper
try:
    load_plugins()
    print(explain_plugin("{KEY}", "{FOUND}", Sweeper))
except UserError as error:
    print(error)
"""
    words = [sys.executable, "-c", code]
    return subprocess.run(words, cwd=folder.parent, capture_output=True, text=True, check=True)


def test_a_plugin_that_fails_is_named_with_its_line(own: Path) -> None:
    (own / "own_d.py").write_text("x = 1\ny = x / 0\n")

    found = load(own).stdout

    assert found == (
        f"{own / 'own_d.py'}, line 2: ZeroDivisionError: division by zero; Hydra imports every module of "
        "hydra_plugins, so correct or uninstall it\n"
    )


def test_a_plugin_that_lacks_a_package_is_reported_in_one_line(own: Path) -> None:
    (own / "own_d.py").write_text("import no_such_package\n")

    assert load(own).stderr == (
        "warning: hydra_plugins.own_d cannot be imported (ModuleNotFoundError: No module named 'no_such_package'); "
        "its plugins are missing\n"
    )


def test_an_init_file_hides_the_plugins_of_other_folders(own: Path) -> None:
    (own / "__init__.py").touch()

    assert load(own).stdout == (
        f"{KEY}={FOUND}: {own / '__init__.py'} hides the plugins of other folders; remove this file\n"
    )


def test_hydra_lists_what_is_found() -> None:
    """The names by which `check_plugin` knows a class are those by which Hydra creates it."""
    names = {f"{found.__module__}.{found.__name__}" for found in Plugins.instance().discover(Sweeper)}

    assert names <= set(Plugins.instance().class_name_to_class)

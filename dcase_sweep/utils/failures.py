"""Descriptions of exceptions that a component of the configuration has raised."""

import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from traceback import walk_tb

from dcase_sweep.utils.errors import UserError, is_out_of_memory

#: Exceptions whose messages say what is wrong without the name of the exception.
_EXPLAINED = (ValueError, TypeError, RuntimeError)
#: Folders of installed packages.
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def describe_failure(error: BaseException, target: str) -> str:
    """Describe an exception of a component in one line: its message, the component, and the line of the user's code.

    Args:
        error: the exception, as caught where the component is called.
        target: the full name of the component.
    """
    message = " ".join(str(error).splitlines()[0].split())[:300] if str(error).strip() else ""
    if not message or not isinstance(error, _EXPLAINED):
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return f"{message} ({', '.join(filter(None, [target, _find_line(error)]))})"


def _find_line(error: BaseException) -> str:
    """Return the last line of the user's own code that the exception has passed: ``losses.py, line 12``."""
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    own = [(Path(file).name, line) for file, line in places if _is_of_user(file)]
    return f"{own[-1][0]}, line {own[-1][1]}" if own else ""


@lru_cache(maxsize=256)
def _is_of_user(file: str) -> bool:
    """Whether a file of source code is neither of this package nor of an installed one."""
    path = Path(file)
    if not path.is_absolute() or not path.is_file():  # <string>, <frozen importlib>
        return False
    installed = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders = [Path(__file__).parents[1], *(Path(each) for each in installed if each)]
    # Those of the user's home, and of an environment on which this one is based, are in other folders.
    return _INSTALLED.isdisjoint(path.parts) and not any(path.is_relative_to(folder) for folder in folders)


@contextmanager
def naming_component(key: str, target: str, called: object = None) -> Iterator[None]:
    """Turn an exception that a component outside this package has raised into a line with its key.

    Args:
        key: the key of the component.
        target: its full name.
        called: the object of which a method has to be in the traceback; None = the block calls nothing else.

    Raises:
        UserError: with the component, and the line of the user's code.
    """
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        frames = (frame for frame, _ in walk_tb(error.__traceback__))
        is_called = called is None or any(frame.f_locals.get("self") is called for frame in frames)
        if target.startswith("dcase_sweep.") or is_out_of_memory(error) or not is_called:
            raise
        raise UserError(f"{key}: {describe_failure(error, target)}") from error

"""Descriptions of exceptions that a component of the configuration has raised."""

import sysconfig
from functools import lru_cache
from pathlib import Path
from traceback import walk_tb

#: Exceptions whose messages say what is wrong without the name of the exception.
_EXPLAINED = (ValueError, TypeError, RuntimeError)


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
    return not any(path.is_relative_to(folder) for folder in folders)

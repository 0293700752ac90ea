"""Python's garbage collector: pauses, and what it need not look at."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: An import of at least so many modules is that of a large library.
_MANY = 100
_keeps_imports = False


@contextmanager
def paused_collection() -> Iterator[None]:
    """Context in which the collector does not run, for many objects that are created to stay.

    It would go through all of them again and again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def own_process() -> Iterator[None]:
    """Context of everything that a process of this package does before it ends.

    The collector ignores what exists when a large library has been imported with `importing`, and what is left at the
    end. Python would go through all of it three times before the process ends, which takes a second or two. In another
    program, whose objects are not ours, nothing is ignored.
    """
    global _keeps_imports
    _keeps_imports = True
    try:
        yield
    finally:
        gc.collect()  # what closes a file when it is collected
        gc.freeze()


@contextmanager
def importing() -> Iterator[None]:
    """Context for the import of a library that may be large.

    PyTorch, Lightning and MLflow create 700,000 objects. The collector would take a quarter of the time of their
    imports.
    """
    before = len(sys.modules)
    with paused_collection():
        yield
        if _keeps_imports and len(sys.modules) - before >= _MANY:
            gc.freeze()

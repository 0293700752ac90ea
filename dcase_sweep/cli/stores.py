"""The store of runs that a verb reads, and its messages."""

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from dcase_sweep.utils.errors import UserError

if TYPE_CHECKING:
    from dcase_sweep.tracking import Store

#: The keys that say where the runs are.
KEYS = ("tracking.uri", "tracking.folder")


def open_existing_store(settings: Mapping[str, str]) -> "Store":
    """Open the store that ``tracking.uri`` and ``tracking.folder`` describe, without making one.

    Raises:
        UserError: if there is none.
    """
    from dcase_sweep import tracking
    from dcase_sweep.config import Tracking

    where = Tracking(**settings)  # type: ignore[arg-type]
    if not tracking.is_there(where):
        raise UserError(
            f"{tracking.resolve_uri(where)}: no store of runs there; expected tracking.folder=FOLDER or "
            "tracking.uri=ADDRESS of one"
        )
    return tracking.open_store(where, experiment=False)


def log_to_terminal(stream: TextIO | None = None) -> None:
    """Show the messages of the package, as in an experiment.

    Args:
        stream: None = standard output. On another one nothing else shows them, as standard output may be a table.
    """
    from dcase_sweep.utils.console import MaskingFormatter, Terminal

    logger = logging.getLogger("dcase_sweep")
    if not logger.handlers:
        handler = Terminal(stream or sys.stdout)
        handler.setFormatter(MaskingFormatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = logger.propagate and stream is None
    logger.setLevel(logging.INFO)

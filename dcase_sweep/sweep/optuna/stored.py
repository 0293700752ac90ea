"""The studies of a storage as they are now, read without Optuna, which takes longer to import than this to read.

Nothing is created or changed. What is read is not trusted: it is shown, and never imported or called.
"""

import os
from pathlib import Path

from dcase_sweep.sweep.optuna.stored_database import read_database, sqlite_file
from dcase_sweep.sweep.optuna.stored_journal import read_journal
from dcase_sweep.sweep.optuna.stored_study import StoredStudy
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.secrets import mask_url
from dcase_sweep.utils.text import printable


def read_studies(where: str, name: str | None = None, *, waits: bool = False) -> list[StoredStudy]:
    """Read the studies of a storage.

    Args:
        where: a journal file or a database's URL.
        name: read the trials of this study alone; the others have none then.
        waits: whether a database server that cannot be reached is waited for.

    Raises:
        UserError: if there is no such storage, or it is not one of Optuna's.
    """
    if "://" not in where:
        path = Path(where)
        if not path.exists():
            raise _describe_missing(where)
        return read_journal(path)
    file = sqlite_file(where)
    if file is not None and not file.exists():
        raise _describe_missing(str(file))
    return read_database(where, name, waits=waits)


def find_study(where: str, name: str, *, waits: bool = False) -> StoredStudy:
    """Read one study of a storage.

    Args:
        where: a journal file or a database's URL.
        name: the name of the study.
        waits: whether a database server that cannot be reached is waited for.

    Raises:
        UserError: if there is none of this name, with the names there are.
    """
    studies = read_studies(where, name, waits=waits)
    for study in studies:
        if study.name == name:
            return study
    names = ", ".join(printable(each.name) for each in studies) or "a storage with a study"
    raise UserError(f"{printable(name)}: no such study in {mask_url(where)}; expected {names}")


def choose_storage(given: str | None, folder: str | None) -> str:
    """Return the storage that a command line names: ``storage=``, or OPTUNA_STORAGE, or the journal of a folder.

    Args:
        given: the value of ``storage``.
        folder: the folder of the local runs; None = the default.
    """
    return given or os.environ.get("OPTUNA_STORAGE") or os.path.join(folder or "mlruns", "optuna.log")


def _describe_missing(place: str) -> UserError:
    return UserError(
        f"{place}: no studies there; expected storage=FILE or storage=postgresql://..., or the environment variable "
        "OPTUNA_STORAGE, with the storage of a search"
    )

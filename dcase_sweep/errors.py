"""Errors that the user can mend; they are shown as their text alone, without a traceback."""

from collections.abc import Sequence


class UserError(Exception):
    """One clear line: the file, row or key; what was found; what was expected; what to do."""


class DataError(UserError):
    """Everything that is wrong with a data set, one line a problem, found before time is spent on it."""

    #: A data set that is broken in one way is often broken in it a thousand times.
    SHOWN = 25

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        shown = self.problems[: self.SHOWN]
        if len(self.problems) > len(shown):
            shown.append(f"... and {len(self.problems) - len(shown)} more")
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''} in the data"
        super().__init__("\n  ".join([f"{count}:", *shown]))

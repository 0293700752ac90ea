"""Recordings that nobody reads."""

from dcase_sweep.utils.errors import UserError


class UnreadRecordings:
    """Stands for the recordings of a training where its network is used without them; fits every task."""

    kind = "*"

    def __init__(self, *, name: str = "unread", root: str | None = None) -> None:
        self.name = name
        self.root = root

    def load(self) -> None:
        """Refuse to.

        Raises:
            UserError: always.
        """
        raise UserError(f"data={self.name}: stands for recordings that are not read; expected a data set")

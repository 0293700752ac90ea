"""A placeholder for recordings that are not read."""

from dcase_sweep.utils.errors import UserError


class UnreadRecordings:
    """Replaces the recordings of a training if its network is used without them, for any task."""

    kind = "*"

    def __init__(self, *, name: str = "unread", root: str | None = None) -> None:
        self.name = name
        self.root = root

    def load(self) -> None:
        """Report that there are no recordings.

        Raises:
            UserError: always.
        """
        raise UserError(f"data={self.name}: a placeholder for recordings that are not read; expected a data set")

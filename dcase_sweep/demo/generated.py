"""The base of the generated data sets: recordings that are generated on first use in the layout of a data set."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from dcase_sweep.demo.generation import check_demo_root, check_room, generate_once


class GeneratedRecordings(ABC):
    """Recordings that are generated on first use. Processes that start at the same time generate them only once.

    Attributes:
        root: folder of the recordings.
        parameters: parameters of the generator.
    """

    root: Path
    parameters: dict[str, int]

    @property
    @abstractmethod
    def disk_bytes(self) -> int:
        """Size of all recordings in bytes."""

    @abstractmethod
    def generate(self, on_progress: Callable[[int, int], None]) -> None:
        """Generate the recordings that are missing."""

    @abstractmethod
    def is_complete(self) -> bool:
        """Whether all recordings have been generated."""

    def check_room(self) -> None:
        """Check that the disk has enough space for the recordings.

        Raises:
            UserError: if not, with the needed and the free space.
        """
        check_room(self.root, self.disk_bytes)

    def check_root(self) -> None:
        """Check that ``data.root`` contains only generated data sets.

        Raises:
            UserError: if not, with what was found.
        """
        check_demo_root(self.root.parent)

    def prepare(self, on_progress: Callable[[int, int], None]) -> None:
        """Generate the recordings unless they are complete.

        Raises:
            UserError: if the folder contains other files, or the disk has not enough space.
        """
        self.check_root()

        def generate() -> None:
            self.check_room()
            self.generate(on_progress)

        generate_once(self.root, is_complete=self.is_complete, generate=generate)

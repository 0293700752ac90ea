"""Where a sweep is recorded besides its folder and its storage."""

from collections.abc import Mapping, Sequence
from pathlib import Path


class Record:
    """Where a sweep is recorded besides its folder, a run in a tracking server for instance; this one keeps nothing."""

    #: By which the record is found again when the sweep is continued.
    id: str = ""
    #: The command that shows it; None = there is none.
    command: str | None = None
    #: The address of the page that compares the jobs; None = there is none.
    link: str | None = None

    def log_text(self, text: str, name: str) -> None:
        """Keep a text file."""

    def log_file(self, path: Path, folder: str | None) -> None:
        """Keep a file, in a folder of the record or beside its texts."""

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Keep figures of the sweep."""

    def describe(self, notes: Sequence[str], table: str) -> None:
        """Show a table of the results, in Markdown, under remarks about them."""

    def mark_best(self, job_ids: Mapping[str, bool]) -> None:
        """Mark the records of jobs: id → whether the job is among the best."""

    def end(self, status: str) -> None:
        """Close the record as ``FINISHED`` or ``FAILED``."""

    def give_up(self, status: str) -> None:
        """Close the record of a sweep that was ended, as ``KILLED`` or ``FAILED``, whatever else goes wrong."""

"""The record of a sweep outside its folder and storage."""

from collections.abc import Mapping, Sequence
from pathlib import Path


class Record:
    """The record of a sweep outside its folder, such as a run on a tracking server. This base class stores nothing."""

    #: The ID by which the record is found when the sweep is continued.
    id: str = ""
    #: The command that shows the record; None = there is none.
    command: str | None = None
    #: The address of the page that compares the jobs; None = there is none.
    link: str | None = None

    def log_text(self, text: str, name: str) -> None:
        """Store a text file."""

    def log_file(self, path: Path, folder: str | None) -> None:
        """Store a file, in a folder of the record or next to its texts."""

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Store metrics of the sweep."""

    def describe(self, notes: Sequence[str], table: str) -> None:
        """Show notes and a table of the results in Markdown."""

    def mark_best(self, job_ids: Mapping[str, bool]) -> None:
        """Mark the records of jobs whose mark has changed: ID → whether the job is among the best."""

    def end(self, status: str) -> None:
        """Close the record as ``FINISHED`` or ``FAILED``."""

    def give_up(self, status: str) -> None:
        """Close the record of an interrupted sweep as ``KILLED`` or ``FAILED``, ignoring further errors."""

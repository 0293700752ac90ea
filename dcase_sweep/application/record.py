"""The MLflow run of a sweep, the parent of its jobs' runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dcase_sweep import tracking
from dcase_sweep.config import Tracking
from dcase_sweep.sweep.application import Record
from dcase_sweep.utils.secrets import mask_word

#: Longest value of a tag that every MLflow store accepts, in characters.
_LONGEST_TAG = 5000
#: Tag of the runs of a search: whether the run is among the best.
BEST = "dcase_sweep.best"


class RunRecord(Record):
    """The MLflow run of a sweep, or of a trial with several seeds.

    Args:
        run: the open run.
        is_sweep: whether it is that of a sweep, which has a page that lists its jobs.
    """

    def __init__(self, run: tracking.Run, *, is_sweep: bool = True) -> None:
        self.id = run.id
        self.command = run.store.command
        self.link = run.store.link_to_sweep(run.id) if is_sweep else None
        self._run = run

    def log_text(self, text: str, name: str) -> None:
        """Log a text as an artifact."""
        self._run.log_text(text, name)

    def log_file(self, path: Path, folder: str | None) -> None:
        """Log a file as an artifact."""
        self._run.log_file(path, folder)

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log metrics of the sweep."""
        self._run.log_metrics(metrics)

    def describe(self, notes: Sequence[str], table: str) -> None:
        """Show the table in the description of the run."""
        parts = [*(f"**{note}**" for note in notes), table]
        text = "\n\n".join(part for part in parts if part)
        self._run.set_tags({tracking.NOTE: shorten_table(text, _LONGEST_TAG)})

    def mark_best(self, job_ids: Mapping[str, bool]) -> None:
        """Tag the runs of jobs that are, or no longer are, among the best."""
        for job_id, is_best in job_ids.items():
            self._run.tag_other(job_id, {BEST: "true" if is_best else "false"})

    def end(self, status: str) -> None:
        """Close the run."""
        self._run.end(status)

    def give_up(self, status: str) -> None:
        """Close the run of an interrupted sweep, ignoring further errors."""
        self._run.give_up(status)


def shorten_table(text: str, length: int) -> str:
    """Shorten a text to the largest length of a tag, with a note on the omitted rows."""
    if len(text) <= length:
        return text
    left = "\n\nThe other rows are in comparison.csv."
    return text[: length - len(left)].rpartition("\n")[0] + left


def start_record(
    settings: Tracking,
    name: str,
    arguments: Sequence[str],
    *,
    study: str | None,
    known_id: str | None,
    folder: Path | None = None,
) -> RunRecord:
    """Start the run of a sweep, or continue the one with this ID if it exists.

    Args:
        settings: the settings of the tracking.
        name: name of the run.
        arguments: overrides on the command line.
        study: name of the study, for a search.
        known_id: ID of the run of the sweep that is continued.
        folder: the folder of the sweep.
    """
    tags = {"dcase_sweep.sweep": " ".join(map(mask_word, arguments))[:_LONGEST_TAG]}
    if study is not None:
        tags["dcase_sweep.study"] = study
    run = tracking.start_run(settings, name=name, tags=tags, resume_id=known_id, code=Path.cwd(), folder=folder)
    return RunRecord(run)

"""Notes on results: generated data, or missing clips."""

from dcase_sweep.tasks.protocols import TaskData

SYNTHETIC = "synthetic demo data: not representative of real recordings"


def describe_note(data: TaskData) -> str | None:
    """Return the note that is shown with all results on these data."""
    return SYNTHETIC if data.is_synthetic else None


def describe_incompleteness(data: TaskData) -> str | None:
    """Describe how many of the listed test clips the results are based on; empty if all."""
    part = getattr(data, "test_coverage", None)
    if part is None or part.is_complete:
        return None
    return f"scored on {part.found:,} of {part.listed:,} clips: not comparable with a score on all of them"


def describe_tags(data: TaskData) -> dict[str, str]:
    """Return the tags of a run that describe the limits of its results."""
    notes = {"dcase_sweep.synthetic": describe_note(data), "dcase_sweep.incomplete": describe_incompleteness(data)}
    tags = {tag: note for tag, note in notes.items() if note}
    if not tags:
        return {}
    shown = "\n\n".join(f"**{note}**" for note in tags.values())
    synthetic = {"dcase_sweep.synthetic": "true"} if data.is_synthetic else {}
    return tags | synthetic | {"mlflow.note.content": shown}

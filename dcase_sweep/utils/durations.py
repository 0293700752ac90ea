"""Times in words, by one rule for all output of commands."""

from datetime import timedelta


def format_duration(seconds: float) -> str:
    """Format a time: ``4.7 s`` below ten seconds, else ``0:12:30``; a negative one is ``0.0 s``."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    return str(timedelta(seconds=round(seconds)))

"""The progress of a search on the terminal: a live table, or plain lines if the output is not a terminal."""

import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.seeds import read_progress, read_seeds, read_spread
from dcase_sweep.sweep.optuna.tally import Tally
from dcase_sweep.sweep.outcomes import format_value
from dcase_sweep.utils.durations import format_duration
from dcase_sweep.utils.text import printable
from dcase_sweep.utils.text_table import format_table, wrap

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

    from dcase_sweep.sweep.optuna.search_config import SearchConfig

log = logging.getLogger(__name__)

_ENDED = ("finished", "pruned", "failed", "interrupted", "repeated")
#: Number of trials in a live table.
_SHOWN = 8
#: Longest value, in characters.
_LONGEST = 20


def describe(trial: "FrozenTrial") -> str:
    """Describe the configuration of a trial briefly: the last part of each key; values of a list entry together.

    Keys with the same last part are told apart by the part before it.
    """
    words: list[str] = []
    last = Counter(key.rpartition(".")[2] for key in trial.params)
    blocks: dict[str, list[str]] = {}
    for key, value in trial.params.items():
        names = key.split(".")
        if len(names) > 2 and names[-2].isdigit():
            blocks.setdefault(key.rpartition(".")[0], []).append(_format(value).strip("[]").replace(",", "×"))
        else:
            name = names[-1] if last[names[-1]] == 1 else ".".join(names[-2:])
            words.append(f"{name} {_cut(_format(value))}")
    return ", ".join([*words, *([" | ".join(" ".join(parts) for parts in blocks.values())] if blocks else [])])


def _format(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cut(text: str) -> str:
    """Shorten a value for a line of many values."""
    text = printable(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def outcome(trial: "FrozenTrial", metrics: Sequence[str] = ()) -> str:
    """Describe how a trial ended, or its progress.

    Args:
        trial: the trial.
        metrics: the names of its objectives, of which it may know the standard deviation over its seeds.
    """
    what = records.kind(trial)
    if what == "finished":
        return " / ".join(format_values(trial, metrics).values())
    if what == "pruned" and trial.intermediate_values:
        last = max(trial.intermediate_values)
        return f"pruned after epoch {last + 1} at {trial.intermediate_values[last]:.4g}"
    progress = read_progress(trial.user_attrs)
    if what == "running" and progress is not None:
        place, step = progress
        return f"seed {place} of {len(read_seeds(trial.user_attrs))}, epoch {step}"
    if what == "running" and trial.intermediate_values:
        last = max(trial.intermediate_values)
        return f"epoch {last + 1}: {trial.intermediate_values[last]:.4g}"
    if what in ("failed", "interrupted"):
        return f"{what}: {trial.user_attrs.get(records.ERROR, '')}"
    if what == "repeated":
        return f"the same as trial {trial.user_attrs[records.REPEAT_OF]}, not trained again"
    return what


def format_values(trial: "FrozenTrial", metrics: Sequence[str]) -> dict[str, str]:
    """Format the objectives of a finished trial, with the standard deviation if it has several seeds."""
    names = metrics if len(metrics) == len(trial.values) else [str(place) for place in range(len(trial.values))]
    spread = read_spread(trial.user_attrs)
    return {name: format_value(value, spread.get(name)) for name, value in zip(names, trial.values, strict=True)}


class ProgressTable:
    """Shows the trials of a study. Each ``update`` reads the study once."""

    def __init__(self, study: "optuna.Study", search_config: "SearchConfig") -> None:
        self.study = study
        self.search_config = search_config
        objective = search_config.objective
        self.tally = Tally(objective.directions[0] if objective.is_single else None)
        self.tally.update(study.get_trials(deepcopy=False))
        self.began = time.monotonic()
        self.done_before = self._count_done()
        #: Width of the numbers of trials, so that short and long ones are in a column.
        self.width = max(3, len(str(search_config.n_trials)))
        self.lock = threading.Lock()
        self.table: Any = None

    def __enter__(self) -> "ProgressTable":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self.table = Live(console=Console(stderr=True), transient=True, auto_refresh=False)
            self.table.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.table is not None:
            self.table.stop()

    def update(self) -> None:
        """Print the trials that have ended since the last call, and redraw the table."""
        with self.lock:
            for trial in self.tally.update(self.study.get_trials(deepcopy=False)):
                if records.kind(trial) in _ENDED:
                    self._print(trial)
            if self.table is not None:
                self.table.update(self._draw(), refresh=True)

    def _print(self, trial: "FrozenTrial") -> None:
        best = self.tally.best
        note = ""
        if best is not None:
            note = " · the best so far" if best.number == trial.number else f" · best {best.value:.4g} ({best.number})"
        done = f"{self._count_done()}/{self.search_config.n_trials}"
        line = f"trial {trial.number:<{self.width}} {self._describe(trial)}{note} · {done} · {describe(trial)}"
        if self.table is not None:
            self.table.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            log.info(line)

    def _describe(self, trial: "FrozenTrial") -> str:
        return outcome(trial, self.search_config.objective.metrics)

    def _count_done(self) -> int:
        return self.tally.counts["finished"] + self.tally.counts["pruned"]

    def describe_remaining(self) -> str:
        """Describe the remaining time at the speed of this search so far; empty before its first trial has ended."""
        done = self._count_done()
        wanted = self.search_config.n_trials - done
        if wanted <= 0 or done <= self.done_before:
            return ""
        seconds = (time.monotonic() - self.began) / (done - self.done_before) * wanted
        return f"; about {format_duration(seconds)} left"

    def _draw(self) -> "_Drawn":
        found = self.tally.counts
        order = ("running", "finished", "pruned", "rejected", "repeated", "failed", "interrupted")
        states = ", ".join(f"{found[name]} {name}" for name in order if found[name]) or "starting"
        wanted = f"{self.search_config.n_trials} wanted{self.describe_remaining()}"
        metrics = " / ".join(metric.rpartition("/")[2] for metric in self.search_config.objective.metrics)
        rows = [["trial", "state", metrics, "s", "configuration"]]
        best = self.tally.best
        running = [trial for trial in self.tally.unfinished.values() if records.kind(trial) == "running"]
        for trial in [*([best] if best is not None else []), *running][:_SHOWN]:
            began = trial.datetime_start.timestamp() if trial.datetime_start else time.time()
            ended = trial.datetime_complete.timestamp() if trial.datetime_complete else time.time()
            what = "best" if trial is best else "running"
            ended_as = self._describe(trial)
            shown = "" if ended_as == "running" else ended_as  # no epoch has finished yet
            rows.append([str(trial.number), what, shown, f"{ended - began:.0f}", describe(trial)])
        # The column has no room for the configuration of the best trial on a narrow terminal.
        caption = "" if best is None else f"best: {describe(best)}"
        return _Drawn(f"{self.search_config.study}: {states}; {wanted}", rows, caption)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A title, a table and a line below it, for a console of any width."""

    title: str
    rows: list[list[str]]
    caption: str

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Text]":
        from rich.text import Text

        width = options.max_width
        yield Text(wrap(self.title, width), "bold")
        yield Text(format_table(self.rows, left=(1, 2, 4), whole=(0, 1, 3), width=width))
        if self.caption:
            yield Text(wrap(self.caption, width))

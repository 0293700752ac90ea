"""The standard deviation over the seeds of each trial, as lines through its point in a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from dcase_sweep.sweep.optuna.seeds import read_spread

#: Their colour, and that with which Plotly blends it with the ground.
_GREY, _PALE_GREY = "#808080", "rgba(128,128,128,0.7)"


def list_spreads(trials: Sequence[FrozenTrial], metrics: Sequence[str]) -> list[dict[int, float]]:
    """Return number of a trial → standard deviation, for each objective; empty where trials have one seed."""
    stored = {trial.number: read_spread(trial.user_attrs) for trial in trials}
    return [{number: spread[metric] for number, spread in stored.items() if metric in spread} for metric in metrics]


def draw_interactive(figure: Any, spread: Mapping[int, float]) -> Any:
    """Add the lines to a Plotly figure with the numbers of the trials on its horizontal axis."""
    for trace in figure.data if spread else ():
        if trace.mode == "markers":
            lengths = [spread.get(int(number), 0.0) for number in trace.x]
            trace.update(error_y={"array": lengths, "color": _PALE_GREY, "width": 0})
    return figure


def draw_still(axes: Any, spread: Mapping[int, float]) -> Any:
    """Add the lines to a Matplotlib figure with the numbers of the trials on its horizontal axis."""
    for points in list(axes.collections) if spread else ():
        found = [(x, y, spread[int(x)]) for x, y in points.get_offsets() if int(x) in spread]
        if found:
            places, values, stds = zip(*found, strict=True)
            lows, highs = ([y + sign * std for y, std in zip(values, stds, strict=True)] for sign in (-1, 1))
            axes.vlines(places, lows, highs, color=_GREY, alpha=0.7, linewidth=1, zorder=0)
    return axes

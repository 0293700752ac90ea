"""The course of a training: its losses and the metric that chose the best epoch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dcase_sweep.evaluation.figures import plain_text
from dcase_sweep.utils.palette import COLOURS, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def training_figure(history: Mapping[str, Mapping[int, float]], *, monitor: str, best_epoch: int) -> "Figure":
    """Draw the losses and the monitored metric over the epochs, with the best epoch marked.

    Args:
        history: metric → epoch, counted from 0 → value. Losses are the metrics whose last word is ``loss``.
        monitor: the metric that chose the best epoch.
        best_epoch: counted from 0.
    """
    from matplotlib.figure import Figure

    losses = [name for name in history if name.rpartition("/")[2] == "loss"]
    panels = [names for names in (losses, [] if monitor in losses else [monitor] * (monitor in history)) if names]
    figure = Figure(figsize=(4.8 * max(len(panels), 1) + 0.4, 3.8), layout="constrained")
    best = history.get(monitor, {}).get(best_epoch)
    value = "" if best is None else f", {name_metric(monitor)} {best:.4g}"
    figure.suptitle(f"best epoch: {best_epoch + 1}{value}", fontsize="medium")
    for axes, names in zip(np.atleast_1d(figure.subplots(1, max(len(panels), 1))), panels, strict=False):
        _draw(axes, {name: history[name] for name in names})
        axes.axvline(best_epoch + 1, color=VERMILION, linestyle="--", linewidth=1.2, label="best epoch")
        if best is not None and monitor in names:
            axes.plot(best_epoch + 1, best, marker="o", color=VERMILION, linestyle="none", zorder=3)
        axes.legend(fontsize="small", frameon=False)
    return figure


def name_metric(name: str) -> str:
    """The name of a metric in words: ``validation/intersection_f1`` → ``validation intersection f1``."""
    return plain_text(name.replace("/", " ").replace("_", " "), 60)


def _draw(axes: "Axes", curves: Mapping[str, Mapping[int, float]]) -> None:
    from matplotlib.ticker import MaxNLocator

    colours = [colour for colour in COLOURS if colour != VERMILION]
    for place, (name, values) in enumerate(curves.items()):
        epochs = sorted(values)
        # One epoch makes no line.
        marker = "o" if len(epochs) == 1 else None
        axes.plot(
            [epoch + 1 for epoch in epochs],
            [values[epoch] for epoch in epochs],
            color=colours[place % len(colours)],
            marker=marker,
            markersize=4,
            label=name_metric(name),
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="loss" if len(curves) > 1 else name_metric(next(iter(curves))))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)

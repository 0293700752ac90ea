"""Figures of a scene report, drawn without pyplot, so that no global state changes."""

from typing import TYPE_CHECKING

import numpy as np

from dcase_sweep.evaluation.figures import LARGEST_SIDE, plain_text
from dcase_sweep.evaluation.scenes.metrics import SceneReport
from dcase_sweep.evaluation.scenes.report import SCENE
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.palette import BLUE, FRACTION, LIGHT_GREY, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: With more scenes the cells have no numbers, because they would be too small to read.
MOST_NUMBERED = 100


def confusion_figure(report: SceneReport, *, title: str | None = None, noun: str = SCENE) -> "Figure":
    """Draw the confusion matrix: the colour is the fraction of a true scene's clips, the numbers are clips."""
    names = [plain_text(name.replace("_", " ")) for name in report.classes]
    side = min(max(4.5, 2.6 + 0.58 * len(names)), LARGEST_SIDE)
    figure = _new_figure(side + 1.8, side)
    axes = figure.add_subplot()
    axes.set_facecolor(LIGHT_GREY)
    total = report.confusion.sum(axis=1, keepdims=True)
    share = np.divide(report.confusion, total, out=np.full(report.confusion.shape, np.nan), where=total > 0)
    image = axes.imshow(share, cmap=FRACTION, vmin=0, vmax=1)
    for (row, column), clips in np.ndenumerate(report.confusion):
        if clips and len(names) <= MOST_NUMBERED:
            dark = share[row, column] > 0.55
            number = axes.text(column, row, f"{clips}", ha="center", va="center", fontsize=9)
            number.set_color("white" if dark else "black")
            number.set_in_layout(False)  # always inside the axes, so the layout need not measure it
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, names)
    axes.set_xlabel(f"estimated {noun}")
    axes.set_ylabel(f"true {noun}")
    axes.set_title(
        plain_text(title, 80) if title else f"{report.clips:,} clips, accuracy {100 * report.accuracy:.1f} %"
    )
    _rule_cells(axes, len(names))
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.03)
    bar.set_label(f"fraction of the clips of the true {noun}")
    return figure


def device_accuracy_figure(report: SceneReport, *, title: str | None = None, noun: str = SCENE) -> "Figure":
    """Draw the accuracy (%) of each device as bars, and the overall accuracy as a line.

    Raises:
        ValueError: the report knows no devices.
    """
    if not report.devices:
        raise ValueError("the report has no devices to draw; expected the device of each clip in evaluate_scenes")
    figure = _new_figure(min(max(4.5, 1.6 + 0.62 * len(report.devices)), LARGEST_SIDE), 3.6)
    axes = figure.add_subplot()
    percent = [100 * device.accuracy for device in report.device_scores]
    # The values are below the names, where neither bars nor the line cross them.
    names = [
        f"{plain_text(name.upper(), 12)}\n{value:.1f}" for name, value in zip(report.devices, percent, strict=True)
    ]
    axes.bar(names, percent, color=BLUE, width=0.7)
    overall = 100 * report.accuracy
    axes.axhline(overall, color=VERMILION, linestyle="--", linewidth=1.5, label=f"all devices: {overall:.1f} %")
    axes.set_ylim(0, 114)
    axes.set_yticks(range(0, 101, 20))
    axes.set_xlabel("recording device, accuracy (%)")
    axes.set_ylabel("accuracy (%)")
    average = f"{report.clips:,} clips, macro average over {pluralize(2, noun).removeprefix('2 ')}"
    axes.set_title(plain_text(title, 80) if title else average)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", frameon=False, fontsize=9, borderaxespad=0)
    return figure


def _new_figure(width: float, height: float) -> "Figure":
    """Create a figure of width × height inches on an Agg canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _rule_cells(axes: "Axes", classes: int) -> None:
    """Draw white lines between the cells; a minor grid is slower, because it is drawn tick by tick."""
    edges, ends = np.arange(classes + 1) - 0.5, (-0.5, classes - 0.5)
    for lines in (axes.hlines(edges, *ends), axes.vlines(edges, *ends)):
        lines.set(color="white", linewidth=1, in_layout=False)
    axes.set(xlim=ends, ylim=ends[::-1])

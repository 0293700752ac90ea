"""Figures of an evaluation and of single clips, as `matplotlib.figure.Figure`, without pyplot."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dcase_sweep.evaluation.events.evaluation import EventEvaluation
from dcase_sweep.evaluation.events.ground_truth import Event
from dcase_sweep.evaluation.events.psds import Psds
from dcase_sweep.evaluation.figures import LARGEST_SIDE, label_bands, plain_text
from dcase_sweep.utils.console import pluralize
from dcase_sweep.utils.palette import COLOURS, GREY, LINES, SPECTROGRAM

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_REFERENCE, _DETECTED = COLOURS[:2]


def psd_roc_figure(evaluation: EventEvaluation) -> Figure:
    """Draw a panel for each scenario: the PSD-ROC, whose area is the score, its classes, and the exact curve."""
    figure = Figure(figsize=(6.4 * max(len(evaluation.psds), 1), 5.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, max(len(evaluation.psds), 1), sharey=True))
    for index, (axes, score) in enumerate(zip(panels, evaluation.psds, strict=False)):
        _draw_roc(axes, score, evaluation.exact[index] if index < len(evaluation.exact) else None)
    panels[0].set_ylabel("true positive ratio")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    figure.suptitle(f"PSD-ROC on {evaluation.coverage}")
    return figure


def class_f1_figure(evaluation: EventEvaluation) -> Figure:
    """Draw collar, segment and intersection F1 of each class as bars, and the means as dashed lines."""
    labels = evaluation.truth.labels
    results = {
        "segment": evaluation.segment,
        "intersection": evaluation.intersection,
        "collar": evaluation.collar,
    }
    figure = Figure(figsize=(8, min(1.6 + 0.55 * len(labels), LARGEST_SIDE)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(results)
    for place, (name, result) in enumerate(results.items()):
        values = {item.label: item.f1 for item in result.per_class}
        percent = 100 * np.array([values.get(label, np.nan) for label in labels])
        rows = np.arange(len(labels)) + (place - (len(results) - 1) / 2) * height
        macro = "-" if np.isnan(result.macro) else f"{100 * result.macro:.1f} %"
        bars = axes.barh(rows, percent, height, color=COLOURS[place], label=f"{name}, macro {macro}")
        axes.bar_label(
            bars,
            ["none" if np.isnan(value) else f"{value:.0f}" for value in percent],
            padding=2,
            fontsize=7,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},  # over the lines of the means
        )
        axes.axvline(100 * result.macro, color=COLOURS[place], linestyle="--", linewidth=1)
    axes.set_yticks(np.arange(len(labels)), [plain_text(label) for label in labels])
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="F1 (%)", title=f"F1 per class on {evaluation.coverage}")
    figure.legend(loc="outside lower center", ncols=len(results), fontsize="small", frameon=False)
    return figure


def clip_figure(
    spectrogram: NDArray[np.floating[Any]],
    *,
    duration: float,
    covered: float | None = None,
    reference: Sequence[Event],
    detected: Sequence[Event],
    frequencies: Sequence[float] | None = None,
    title: str = "",
) -> Figure:
    """Draw a clip's spectrogram, and below it the reference events and the detections of each class.

    Args:
        spectrogram: [mel, frame], from the beginning of the clip.
        duration: length of the clip (s).
        covered: length of the spectrogram (s); None for the whole clip.
        frequencies: centre of each band in Hz, ``[mel]``; None if not known.
    """
    labels = sorted({event.label for event in (*reference, *detected)})
    rows = max(len(labels), 1)
    figure = Figure(figsize=(10, min(3.6 + 0.45 * rows, LARGEST_SIDE)), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3.0, 0.5 + 0.45 * rows]})
    top.imshow(
        spectrogram,
        origin="lower",
        aspect="auto",
        cmap=SPECTROGRAM,
        interpolation="nearest",
        extent=(0.0, covered or duration, -0.5, len(spectrogram) - 0.5),
    )
    top.set_title(plain_text(title, 100))
    label_bands(top, len(spectrogram), frequencies)
    rows_of = ((reference, "reference", _REFERENCE, -0.4), (detected, "detected", _DETECTED, 0.02))
    for events, name, color, lift in rows_of:
        for event in events:
            bottom.broken_barh(
                [(event.onset, event.offset - event.onset)], (labels.index(event.label) + lift, 0.38), color=color
            )
        bottom.barh([0], [0], color=color, label=name)
    bottom.set(xlabel="time (s)", xlim=(0, duration), ylim=(rows - 0.5, -0.5))
    bottom.set_yticks(range(len(labels)), [plain_text(label) for label in labels])
    bottom.grid(axis="x", alpha=0.3)
    if not labels:
        bottom.text(duration / 2, 0, "no event in the reference, none detected", ha="center", va="center")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small", frameon=False)
    return figure


def _draw_roc(axes: "Axes", score: Psds, exact: Psds | None) -> None:
    limit = score.parameters.max_efpr
    points = np.append(score.roc.effective_fpr, limit)
    for place, (label, levels) in enumerate(zip(score.labels, score.roc.class_tpr, strict=True)):
        axes.step(
            points,
            np.append(levels, levels[-1:]),
            where="post",
            linewidth=1.2,
            color=COLOURS[place % len(COLOURS)],
            linestyle=LINES[place // len(COLOURS) % len(LINES)],
            label=plain_text(label),
        )
    levels = np.append(score.roc.effective_tpr, score.roc.effective_tpr[-1:])
    axes.fill_between(points, levels, step="post", color="black", alpha=0.12, linewidth=0)
    axes.step(points, levels, where="post", color="black", linewidth=2, label="PSD-ROC")
    value = "-" if np.isnan(score.value) else f"{score.value:.4f}"
    title = f"PSDS {score.parameters.name}: {value} ({pluralize(score.thresholds or 0, 'threshold')})"
    if exact is not None:
        fine = np.append(exact.roc.effective_tpr, exact.roc.effective_tpr[-1:])
        points = np.append(exact.roc.effective_fpr, limit)
        axes.step(points, fine, where="post", color=GREY, linewidth=2, linestyle="--", label="PSD-ROC, exact")
        title += f", {'-' if np.isnan(exact.value) else f'{exact.value:.4f}'} (all)"
    axes.set(xlim=(0, limit), ylim=(0, 1), xlabel="effective false positives (1/h)", title=title)
    axes.grid(alpha=0.3)

"""Words and colours of the figures that Optuna draws."""

from dataclasses import dataclass, replace
from typing import Any

from dcase_sweep.utils.palette import BLUE, COLOURS, SEQUENCE, VERMILION

#: Words in Optuna's legends and bars of colours → ours.
_WORDS = {
    "Best Value": "best so far",
    "Trial": "trial",
    "Best Trial": "best trial",
    "Infeasible Trial": "trial beyond a limit",
    "Feasible Trial": "trial",
}
#: Colour of trials that break a constraint, in Optuna's figures.
_BEYOND = "#cccccc"


@dataclass(frozen=True, slots=True)
class Wording:
    """Title and axes of a figure; None leaves an axis as it is."""

    title: str
    x: str | None = None
    y: str | None = None

    def of_part(self, part: str) -> "Wording":
        """The words of a figure that shows a part of the trials, which its title ends with."""
        return replace(self, title=self.title + part)


def to_words(metric: str) -> str:
    """The name of a metric in words: ``best/validation/accuracy`` → ``best validation accuracy``."""
    return metric.replace("/", " ").replace("_", " ")


def dress_interactive(figure: Any, wording: Wording) -> Any:
    """Set words and colours of a Plotly figure. It stays white on a dark page, as its colours are chosen for white."""
    figure.update_layout(
        title={"text": _begin(wording.title)},
        template="plotly_white",
        colorway=list(COLOURS),
        font={"family": "sans-serif"},
    )
    if wording.x is not None:
        figure.update_xaxes(title_text=wording.x)
    if wording.y is not None:
        figure.update_yaxes(title_text=wording.y)
    for trace in figure.data:
        trace.name = _WORDS.get(trace.name, trace.name)
        marker = getattr(trace, "marker", None)
        if marker is None or marker.colorscale is None:
            continue
        if trace.name == _WORDS["Best Trial"]:
            marker.update(color=VERMILION, colorscale=None, showscale=False)
        elif trace.hoverinfo == "skip":  # the bar of the lines' colours
            _recolour_lines(figure, marker)
        else:
            marker.update(colorscale=SEQUENCE.title(), colorbar={"title": {"text": _WORDS["Trial"]}})
    return figure


def _recolour_lines(figure: Any, bar: Any) -> None:
    """Colour the lines of parallel coordinates by their first value; Optuna's palest ones cannot be seen on white."""
    from plotly.colors import sample_colorscale

    bar.update(colorscale=SEQUENCE.title())
    for trace in figure.data:
        if trace.mode == "lines" and trace.customdata is not None:
            place = (float(trace.customdata[0][1]) - bar.cmin) / ((bar.cmax - bar.cmin) or 1.0)
            place = min(max(1 - place if bar.reversescale else place, 0.0), 1.0)
            trace.update(line={"color": sample_colorscale(SEQUENCE.title(), [place])[0]}, opacity=0.8)


def dress_still(axes: Any, wording: Wording) -> Any:
    """Set words and colours of a Matplotlib figure, given as its axes or an array of them; returns the figure."""
    import numpy as np

    several = np.ravel(np.asarray(axes, dtype=object))
    figure = several[0].figure
    figure.set_facecolor("white")
    for each in several:
        for place in ("left", "center", "right"):
            each.set_title("", loc=place)
        each.set_facecolor("white")
        each.grid(alpha=0.3, color="grey")
        each.set_axisbelow(True)
        _recolour(each)
        if wording.x is not None:
            each.set_xlabel(wording.x)
        if wording.y is not None and each is several[0]:
            each.set_ylabel(wording.y)
    figure.suptitle(_begin(wording.title), fontsize="large")
    _renew_legend(several[0])
    for each in figure.axes:
        for label in each.get_yticklabels():  # which lines may cross
            label.set_bbox({"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1})
        if each.get_ylabel() in _WORDS:  # the bar of colours
            each.set_ylabel(_WORDS[each.get_ylabel()])
    return figure


def _recolour(axes: Any) -> None:
    """Points and bars in blue, the best in vermilion, what has an order in the colours of one."""
    from matplotlib.colors import to_hex

    for bar in axes.patches:
        bar.set_facecolor(BLUE)
    for points in axes.collections:
        if points.get_array() is not None:
            points.set_cmap(SEQUENCE + ("_r" if points.get_cmap().name.endswith("_r") else ""))
            continue
        colours = points.get_facecolor()
        if len(colours) and to_hex(colours[0]) != _BEYOND:
            is_best = points.get_label() == "Best Trial"
            points.set_facecolor(VERMILION if is_best else BLUE)
            points.set_edgecolor("none")
    lines = axes.get_lines()
    named = [line for line in lines if line.get_label() == "Best Value"]
    for line in named:
        line.set(color=VERMILION, alpha=1.0)
    _colour_by_order([line for line in lines if line not in named])


def _colour_by_order(lines: Any) -> None:
    """Early trials dark, late ones light."""
    from matplotlib import colormaps

    for place, line in enumerate(lines):
        line.set_color(colormaps[SEQUENCE](0.9 * place / max(len(lines) - 1, 1)))


def _renew_legend(axes: Any) -> None:
    """Legends of two entries, in our words; one entry for each trial would take more room than the figure."""
    legend = axes.get_legend()
    if legend is None:
        return
    legend.remove()
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) == 2:
        axes.legend(
            handles, [_WORDS.get(label, label) for label in labels], loc="lower right", bbox_to_anchor=(1, 1), ncols=2
        )


def _begin(text: str) -> str:
    """A title begins with a capital letter."""
    return text[:1].upper() + text[1:]

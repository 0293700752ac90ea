"""Saving of figures, and text in them."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dcase_sweep.utils.files import whole_file
from dcase_sweep.utils.lookalikes import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 120
#: Largest size of a figure in inches.
LARGEST_SIDE = 30.0
#: Frequencies that an axis names where it reaches them, in Hz.
_NAMED = tuple(first * 10**power for power in range(1, 5) for first in (1, 2, 5))
#: Two of them are at least this fraction of the axis apart.
_NEAREST = 0.07


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a PNG of a figure. It is drawn once; ``savefig`` draws it twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    with quiet_drawing():
        canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    with whole_file(path) as temporary:
        Image.fromarray(pixels).convert("RGB").save(temporary, format="PNG", dpi=(DPI, DPI), compress_level=1)


@contextmanager
def quiet_drawing() -> Iterator[None]:
    """Suppress Matplotlib's warnings about missing glyphs and about the layout in the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def plain_text(text: str, length: int = 32) -> str:
    """Prepare a label for Matplotlib: `$` does not start a formula, and long labels are shortened.

    A blank is put before a leading underscore, which would hide the label in a legend.
    """
    printable = "".join(character if character.isprintable() else "?" for character in text)
    shown = shorten(printable, length).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def label_bands(axes: "Axes", bands: int, frequencies: Sequence[float] | None) -> None:
    """Label the bands of a spectrogram whose row ``i`` is at ``i``: bands on the left, their frequencies on the right.

    Args:
        axes: axes of the spectrogram.
        bands: their number.
        frequencies: centre of each band in Hz, ascending; None where rows are not bands or nothing says so.
    """
    axes.set_ylabel("band")
    if frequencies is None or len(frequencies) != bands:
        return
    right = axes.secondary_yaxis("right")
    ticks: list[tuple[float, str]] = []
    for hertz in _NAMED:
        place = float(np.interp(hertz, frequencies, np.arange(bands), left=-np.inf, right=np.inf))
        if np.isfinite(place) and (not ticks or place - ticks[-1][0] >= _NEAREST * bands):
            ticks.append((place, f"{hertz:g}" if hertz < 1000 else f"{hertz / 1000:g}k"))
    right.set_yticks([place for place, _ in ticks], [name for _, name in ticks])
    right.set_ylabel("Hz")

"""Saving of figures, and text in them."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dcase_sweep.utils.files import whole_file
from dcase_sweep.utils.lookalikes import shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120
#: Largest size of a figure in inches.
LARGEST_SIDE = 30.0


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

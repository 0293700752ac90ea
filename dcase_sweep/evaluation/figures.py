"""Figures as files, and text in them."""

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
#: Inches; a figure of many classes is not drawn larger than this.
LARGEST_SIDE = 30.0


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a PNG of a figure, drawn once; ``savefig`` draws everything twice."""
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
    """Without Matplotlib's warnings: of letters that its font lacks, and of axes that leave no room."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def plain_text(text: str, length: int = 32) -> str:
    """A label as Matplotlib draws it letter by letter: `$` begins no formula, and long labels are shortened.

    A first underscore, which would hide it from a legend, is put behind a blank.
    """
    printable = "".join(character if character.isprintable() else "?" for character in text)
    shown = shorten(printable, length).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown

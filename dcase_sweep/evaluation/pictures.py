"""Figures as files."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a PNG of a figure, drawn once; ``savefig`` draws everything twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    Image.fromarray(pixels).convert("RGB").save(path, format="PNG", dpi=(DPI, DPI), compress_level=1)

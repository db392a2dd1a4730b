"""Figures in files and in notebooks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from pyxt_hpc.files.writing import replacing

_HOW: dict[str, dict[str, Any]] = {
    ".pdf": {"metadata": {"CreationDate": None}},
    ".svg": {"metadata": {"Date": None}},
    ".png": {"pil_kwargs": {"compress_level": 3}},
}


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file name; the same drawing gives the same bytes."""
    with replacing(path) as temporary:
        figure.savefig(temporary, **_HOW.get(path.suffix, {}))


def write_figure(path: Path, size: tuple[float, float], draw: Callable[..., None], *drawn: object) -> None:
    """Write a figure of a size [inch]; ``draw(figure, *drawn)`` draws on it."""
    figure = Figure(figsize=size, dpi=150)
    draw(figure, *drawn)
    save(figure, path)


def shown_figure(
    figure: Figure | None, size: tuple[float, float], draw: Callable[..., None], *drawn: object
) -> Figure:
    """Draw as `write_figure` does on a figure; None: on a new figure of pyplot, which notebooks show."""
    if figure is None:
        from matplotlib import pyplot as plt

        figure = plt.figure(figsize=size)
    draw(figure, *drawn)
    return figure


def plain_log_ticks(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers: 1, 2 and 5 of every decade, or 1 and 3 of many decades."""
    low, high = sorted(axis.get_view_interval())
    # On a longer axis, labels such as 500 and 1000 would touch.
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100.0 * low else (1.0, 3.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())

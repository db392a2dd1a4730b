"""Axes of figures."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyxt_hpc.plots.figures import plain_log_ticks


@pytest.mark.parametrize("decades", [0.8, 1.5, 2.0, 2.5, 3.0])
def test_labels_of_a_logarithmic_axis_do_not_touch(decades: float) -> None:
    figure = Figure(figsize=(3.4, 3.0))  # a panel of the pictures of profiles
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.1, 0.1, 0.85, 0.85))
    axes.set_xscale("log")
    axes.set_xlim(1200.0 / 10.0**decades, 1200.0)
    plain_log_ticks(axes.xaxis)
    canvas.draw()
    labels = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    shown = [box for box in labels if axes.bbox.x0 <= 0.5 * (box.x0 + box.x1) <= axes.bbox.x1]
    assert len(shown) >= 3
    gaps = np.array([right.x0 - left.x1 for left, right in pairwise(shown)])
    assert gaps.min() > 0.6 * shown[0].height

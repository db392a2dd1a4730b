"""A front as a line along its crest, instead of the pixels of the crest."""

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.maps.shocks.fronts import Front

_STEP = 4.0
"""Pixels along the front from one corner of the line to the next."""


def polyline(front: Front) -> NDArray[np.float64]:
    """Corners of the line, (n, 2) rows and columns with n >= 2 [pixels].

    A front turns by less than 60 degrees to either side of its direction, so each place across it has one
    place along it: the mean of the crest's pixels within a step.
    """
    row, col = front.pixels.T.astype(float)
    sine, cosine = np.sin(front.angle), np.cos(front.angle)
    across, along = row * cosine - col * sine, row * sine + col * cosine
    n = max(round(float(np.ptp(across)) / _STEP), 1)
    edges = np.linspace(across.min(), across.max(), n + 1)
    part = np.clip(np.searchsorted(edges, across, side="right") - 1, 0, n - 1)
    size = np.bincount(part, minlength=n)
    seen = size > 0
    u = np.bincount(part, across, n)[seen] / size[seen]
    v = np.bincount(part, along, n)[seen] / size[seen]
    # to both ends of the crest, which means of steps would cut off
    u = np.concatenate([[across.min()], u, [across.max()]])
    v = np.concatenate([v[:1], v, v[-1:]])
    return np.stack([v * sine + u * cosine, v * cosine - u * sine], axis=1)

"""Linear interpolation between nodes, and between centres of blocks of pixels."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def bracket(nodes: NDArray, values: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Index k of the last node below or at each value, and the fraction t from node k (0) to k + 1 (1).

    Nodes ascend. ``(1 - t) * y[k] + t * y[k + 1]`` interpolates linearly between nodes and extrapolates
    linearly beyond them.
    """
    k = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    return k, (np.asarray(values, float) - nodes[k]) / (nodes[k + 1] - nodes[k])


def between_blocks(image: NDArray, side: int, n: int, axis: int) -> NDArray:
    """Interpolate from blocks of `side` pixels to n pixels along an axis.

    Values are linear between centres of blocks, and constant beyond the first and the last.
    """
    at = np.clip((np.arange(n) + 0.5) / side - 0.5, 0.0, image.shape[axis] - 1.0)
    left = at.astype(np.int64)
    right = np.minimum(left + 1, image.shape[axis] - 1)
    share = np.expand_dims((at - left).astype(image.dtype), 1 - axis)
    below = image.take(left, axis)
    return below + share * (image.take(right, axis) - below)


def enlarged(image: NDArray, side: int, shape: tuple[int, ...]) -> NDArray:
    """Interpolate an image of blocks of `side` pixels to an image with this shape (`between_blocks`)."""
    for axis, n in enumerate(shape):
        image = between_blocks(image, side, n, axis)
    return image

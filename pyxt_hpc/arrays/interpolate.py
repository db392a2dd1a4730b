"""Linear interpolation: between nodes, and between the middles of blocks of pixels."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def bracket(nodes: NDArray, values: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Index k of the ascending node below every value, and its place t from node k (0) to k + 1 (1).

    What is linear between nodes is ``(1 - t) * y[k] + t * y[k + 1]``; beyond the ends it goes on straight.
    """
    k = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    return k, (np.asarray(values, float) - nodes[k]) / (nodes[k + 1] - nodes[k])


def between_blocks(image: NDArray, side: int, n: int, axis: int) -> NDArray:
    """Values at n pixels along an axis from those of blocks of `side` pixels.

    Linear between the middles of the blocks, constant beyond the first and the last.
    """
    at = np.clip((np.arange(n) + 0.5) / side - 0.5, 0.0, image.shape[axis] - 1.0)
    left = at.astype(np.int64)
    right = np.minimum(left + 1, image.shape[axis] - 1)
    share = np.expand_dims((at - left).astype(image.dtype), 1 - axis)
    below = image.take(left, axis)
    return below + share * (image.take(right, axis) - below)


def enlarged(image: NDArray, side: int, shape: tuple[int, ...]) -> NDArray:
    """Image of a shape from one of blocks of `side` pixels, as `between_blocks` along both axes."""
    for axis, n in enumerate(shape):
        image = between_blocks(image, side, n, axis)
    return image

"""The projection matrix of spherical shells and annuli on the sky."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

_PARTS = 24
"""Number of thin shells into which a shell is divided if its emission is not uniform."""

BEYOND = 10.0
"""Largest radius of emission beyond the shells, over their outermost radius."""

_PARTS_BEYOND = 96

Shape = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Function of radius for the emission per volume in any unit, such as n_e^2 of a model."""


def volumes(annuli: ArrayLike, shells: ArrayLike) -> NDArray[np.float64]:
    """Volume of every spherical shell within every annulus.

    A sphere of radius r has the volume 4 pi/3 (r^3 - (r^2 - R^2)^(3/2)) within a cylinder of radius R < r
    along the line of sight (Kriss, Cioffi & Canizares 1983, ApJ 272, 439; XSPEC's projct). Volumes of shells
    and annuli are differences of such volumes.

    Parameters
    ----------
    annuli : (n_annulus + 1,)
        Edges on the sky, ascending from 0 or more.
    shells : (n_shell + 1,)
        Edges in space, in the same unit.

    Returns
    -------
    (n_annulus, n_shell)
        Volumes in the cube of that unit.
    """
    R, r = np.asarray(annuli, float)[:, None], np.asarray(shells, float)
    inside = r**3 - np.maximum(r**2 - R**2, 0.0) ** 1.5
    # Rounding may give tiny negative volumes for shells that just miss an annulus.
    seen = np.maximum(np.diff(np.diff(inside, axis=0), axis=1), 0.0)
    return 4.0 / 3.0 * np.pi * seen


def shell_volumes(edges: ArrayLike) -> NDArray[np.float64]:
    """Volume of whole shells, (n,)."""
    return 4.0 / 3.0 * np.pi * np.diff(np.asarray(edges, float) ** 3)


def thin_shells(edges: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Divide shells into thin ones, and add thin shells beyond the last.

    Returns
    -------
    thin : (n_thin + 1,)
        Edges of thin shells, up to `BEYOND` times the last edge.
    shell : (n_thin,)
        Index of the shell that each is part of; the number of shells for those beyond.
    """
    given = np.asarray(edges, float)
    parts = [np.linspace(low, high, _PARTS, endpoint=False) for low, high in pairwise(given)]
    outside = given[-1] * np.geomspace(1.0, BEYOND, _PARTS_BEYOND + 1)
    shell = np.repeat(np.arange(len(given)), [_PARTS] * (len(given) - 1) + [_PARTS_BEYOND])
    return np.concatenate([*parts, outside]), shell


def projection_matrix(edges: ArrayLike, shape: Shape | None = None) -> NDArray[np.float64]:
    """Fraction of the emission of every shell in every annulus; both have the same edges.

    Parameters
    ----------
    edges : (n + 1,)
        Edges, ascending from 0 or more, in any unit.
    shape
        Emission as a function of radius, within shells and beyond the last one; emission beyond is added to
        the last column. None: uniform within shells and zero beyond, as in XSPEC's projct.

    Returns
    -------
    (n, n)
        Fractions [annulus, shell]. Without `shape`, every column sums to 1 if the edges begin at 0.
    """
    if shape is None:
        return volumes(edges, edges) / shell_volumes(edges)
    thin, shell = thin_shells(edges)
    n = len(np.asarray(edges)) - 1
    emission = shape(np.sqrt(thin[1:] * np.maximum(thin[:-1], 0.3 * thin[1:])))
    seen = volumes(edges, thin) * emission
    whole = np.bincount(shell, shell_volumes(thin) * emission)[:n]
    of_shell = np.minimum(shell, n - 1)[:, None] == np.arange(n)
    matrix: NDArray[np.float64] = seen @ of_shell / whole
    return matrix

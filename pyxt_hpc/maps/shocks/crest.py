"""Tracing of crests: links between their pixels, and lines through them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

MIN_RADIUS = 4.0
"""Smallest radius of circles for links [pixels], since a crest is known to a pixel or two at best."""

_SAME_DIRECTION = np.radians(30.0)
"""Largest difference in direction between linked pixels of a crest."""

_CORNER = np.radians(50.0)
"""Largest turn between the mean directions behind and ahead within reach; a larger turn is a corner.

In simulations of arcs with sharp ends (benchmarks/accuracy/shocks.py), 90% of the arcs turn by less than 49
degrees everywhere, and 95% of the ends by more than 68. A round line turns by this angle if its radius is 2.6
times that of the map's circles.
"""


def by_cells(
    pixels: NDArray, radius: NDArray, values: Sequence[NDArray]
) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """Number of the cell of each pixel, (n,), and means of values in every cell, (n_cell,) each.

    A cell is one pixel, or 1/16 to 1/8 of the circle's radius wide if this is 16 pixels or more, since large
    circles give broad crests without finer structure.
    """
    size = 2 ** np.floor(np.log2(np.maximum(radius / 8.0, 1.0))).astype(int)
    key = np.stack([size, *(pixels // size[:, None]).T], axis=1)
    _, cell, count = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    return cell, [np.bincount(cell, x) / count for x in values]


def smoothed(pixels: NDArray, angle: NDArray, own: NDArray) -> NDArray[np.float64]:
    """Mean direction (n,) of the pixels of a crest in the circle of each, without opposite directions [rad].

    Parameters
    ----------
    pixels : (n, 2)
        Rows and columns of pixels, or mean rows and columns of cells.
    angle : (n,)
        Direction across the crest, from the columns to the rows [rad].
    own : (n,)
        Radii of the circles [pixels], at least `MIN_RADIUS`.
    """
    pairs = _pairs(pixels, own.max())
    apart, unit = _distances(pixels, pairs), np.exp(1j * angle)
    total = unit.copy()
    alike = (unit[pairs[:, 0]] * unit[pairs[:, 1]].conj()).real > 0
    for i, j in ((0, 1), (1, 0)):
        at, of = pairs[alike & (apart <= own[pairs[:, i]])][:, [i, j]].T
        total.real += np.bincount(at, unit.real[of], len(unit))
        total.imag += np.bincount(at, unit.imag[of], len(unit))
    return np.angle(total)


def link(pixels: NDArray, angle: NDArray, own: NDArray, live: NDArray) -> csr_array:
    """Link the pixels of a crest that follow each other, and give their distances.

    Linked pixels have similar directions, and each lies within the circle of the other: nothing finer is
    resolved, and pixels that are farther apart are separated by a gap. Masked pixels do not show whether a
    crest continues. Therefore a link crosses the hole of a point source if the circles on both sides of it
    touch. In all cases the crest, continued in a straight line, must pass the other pixel within a radius.

    Parameters
    ----------
    pixels, angle, own
        As for `smoothed`.
    live : (ny, nx) bool
        Pixels where the map has circles.

    Returns
    -------
    (n, n) csr_array
        Symmetric distances [pixels]; 0 where there is no link.
    """
    pairs = _pairs(pixels, own.max())
    found = [pairs[_distances(pixels, pairs) <= own[pairs].min(axis=1)]]
    beside = np.flatnonzero(_beside_hole(pixels, own, live))
    if len(beside):
        pairs = beside[_pairs(pixels[beside], 2.0 * own[beside].max())]
        apart, radii = _distances(pixels, pairs), own[pairs]
        pairs = pairs[(apart > radii.min(axis=1)) & (apart <= radii.sum(axis=1))]
        found.append(pairs[_live_between(pixels, pairs, live) <= own[pairs].min(axis=1)])
    pairs = np.concatenate(found)
    turn = _turn(np.diff(angle[pairs])[:, 0])
    direction = angle[pairs[:, 0]] + 0.5 * turn
    aside = np.abs(_along(np.diff(pixels[pairs], axis=1)[:, 0], direction - 0.5 * np.pi))
    pairs = pairs[(np.abs(turn) < _SAME_DIRECTION) & (aside <= own[pairs].min(axis=1))]
    links = coo_array((_distances(pixels, pairs), tuple(pairs.T)), shape=(len(pixels), len(pixels)))
    return csr_array(links + links.T)


def pieces(links: csr_array) -> list[NDArray[np.int64]]:
    """Indices of the pixels of each piece, which is a connected component of the links."""
    _, number = connected_components(links, directed=False)
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


def cut_corners(links: csr_array, pixels: NDArray, angle: NDArray, own: NDArray, reach: NDArray) -> csr_array:
    """Remove the links across corners, where the line turns by more than 50 degrees within the reach.

    The turn is between the mean directions behind and ahead, within the reach. It is smaller everywhere along
    a line with resolved curvature, even if the line is closed. A corner is where it is largest.

    Parameters
    ----------
    links, pixels, angle, own
        Links from `link`, and its arguments.
    reach : (n,)
        Distance from each pixel to the pixels that determine its direction [pixels].
    """
    unit, turn = np.exp(1j * angle), np.zeros(len(pixels))
    kept = links.tocoo()
    for edge in pieces(links):
        tree = cKDTree(pixels[edge])
        for i in edge:
            near = edge[tree.query_ball_point(pixels[i], reach[i])]
            off = _along(pixels[near] - pixels[i], angle[i])
            ahead, behind = unit[near[off > 0]].sum(), unit[near[off < 0]].sum()
            turn[i] = abs(np.angle(ahead * behind.conj()))
        for i in edge[turn[edge] > _CORNER]:
            near = edge[tree.query_ball_point(pixels[i], reach[i])]
            if i == near[np.argmax(turn[near])]:
                kept = _cut(kept, pixels, angle, own, i)
    return csr_array(kept)


def trace(
    pixels: NDArray, angle: NDArray, own: NDArray, links: csr_array
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Find the line through a piece, and the pixels along it.

    Parameters
    ----------
    pixels, angle, own, links
        Arguments of `link` for the pixels of the piece, and its links.

    Returns
    -------
    corners : (m, 2)
        Rows and columns of the line's corners, m >= 2, about a circle's radius apart; the last corner is the
        first if the line is closed.
    on : (n,) bool
        Whether a pixel lies within its circle's radius of the line; pixels of branches do not.
    """
    steps = links.power(2)  # squared distances, so that paths go through all pixels in between
    end, _ = _furthest(steps, 0)
    other, before = _furthest(steps, end)
    path = _back(before, end, other)
    around = _around(steps, pixels, angle, own, path[len(path) // 2])
    path = path if around is None else around
    off, nearest = cKDTree(pixels[path]).query(pixels)
    on = off <= own
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(pixels[path], axis=0).T))])
    n = max(round(way[-1] / float(np.median(own))), 1)
    part = np.minimum(way[nearest[on]] / max(way[-1], 1.0) * n, n - 1).astype(int)
    size = np.bincount(part, minlength=n)
    seen = size > 0
    corners = np.stack([np.bincount(part, x, n)[seen] / size[seen] for x in pixels[on].T], axis=1)
    if around is not None:
        return np.concatenate([corners, corners[:1]]), on
    if len(corners) == 1:
        return pixels[path[[0, -1]]].astype(np.float64), on
    # The corners are means and end before the crest does, so its two ends are added.
    first = _onto(pixels[path[0]], corners[1], corners[0])
    last = _onto(pixels[path[-1]], corners[-2], corners[-1])
    return np.concatenate([[first], corners, [last]]), on


def _around(
    steps: csr_array, pixels: NDArray, angle: NDArray, own: NDArray, middle: int
) -> NDArray[np.int64] | None:
    """Path around a closed line from one of its pixels to the next; None if the line is open.

    The links across the crest are cut at that pixel. The path to the other side of the cut then goes once
    around the line, or does not exist.
    """
    cut = csr_array(_cut(steps.tocoo(), pixels, angle, own, middle))
    over = steps[[middle]].tocoo()
    ahead = _along(pixels[over.col] - pixels[middle], angle[middle]) > 0
    if not ahead.any():
        return None
    target = int(over.col[ahead][np.argmin(over.data[ahead])])
    length, before = dijkstra(cut, indices=middle, return_predecessors=True)
    return _back(before, middle, target) if np.isfinite(length[target]) else None


def _along(off: NDArray, angle: NDArray) -> NDArray[np.float64]:
    """Component of an offset (n, 2) along a crest [pixels]; ``angle`` is the direction across it."""
    return off[:, 0] * np.cos(angle) - off[:, 1] * np.sin(angle)


def _cut(links: coo_array, pixels: NDArray, angle: NDArray, own: NDArray, i: int) -> coo_array:
    """Remove the links that cross the line across the crest at a pixel; the pixel itself counts as behind."""
    off = pixels - pixels[i]
    ahead, near = _along(off, angle[i]) > 0, np.hypot(*off.T) <= 2.0 * own[i]
    a, b = links.coords
    kept = ~(near[a] & near[b] & (ahead[a] != ahead[b]))
    return coo_array((links.data[kept], (a[kept], b[kept])), shape=links.shape)


def _furthest(steps: csr_array, start: int) -> tuple[int, NDArray[np.int32]]:
    """Pixel that is farthest from a start along the links, and the predecessor of each pixel on its path."""
    length, before = dijkstra(steps, indices=start, return_predecessors=True)
    return int(np.argmax(length)), before


def _back(before: NDArray, start: int, end: int) -> NDArray[np.int64]:
    path = [end]
    while path[-1] != start:
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])


def _onto(point: NDArray, start: NDArray, end: NDArray) -> NDArray[np.float64]:
    """Point on the straight line through two points that is nearest to ``point``."""
    way = (end - start) / np.hypot(*(end - start))
    return end + way * ((point - end) @ way)


def _pairs(pixels: NDArray, apart: float) -> NDArray[np.int64]:
    return cKDTree(pixels).query_pairs(apart, output_type="ndarray")


def _distances(pixels: NDArray, pairs: NDArray) -> NDArray[np.float64]:
    return np.hypot(*(pixels[pairs[:, 1]] - pixels[pairs[:, 0]]).T.astype(np.float64))


def _turn(angle: NDArray) -> NDArray[np.float64]:
    """Reduce an angle to the range from -pi to pi."""
    return np.angle(np.exp(1j * angle))


def _beside_hole(pixels: NDArray, own: NDArray, live: NDArray) -> NDArray[np.bool_]:
    dead = np.argwhere(binary_fill_holes(live) & ~live)
    return cKDTree(dead).query(pixels)[0] <= own if len(dead) else np.zeros(len(pixels), bool)


def _live_between(pixels: NDArray, pairs: NDArray, live: NDArray) -> NDArray[np.float64]:
    """Length of the live parts of the straight line between two pixels [pixels]."""
    apart = _distances(pixels, pairs)
    steps = int(np.ceil(apart.max(initial=1.0)))
    parts = (np.arange(steps) + 0.5) / steps
    start, way = pixels[pairs[:, 0]], np.diff(pixels[pairs], axis=1)[:, 0]
    row, col = (np.rint(start[:, i, None] + way[:, i, None] * parts).astype(int) for i in (0, 1))
    return live[row, col].mean(axis=1) * apart

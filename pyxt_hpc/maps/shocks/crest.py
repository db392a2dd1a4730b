"""Following a crest: which of its pixels belong together, and the line through them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

MIN_RADIUS = 4.0
"""Circles that are smaller [pixels] count as so large: a crest is known to a pixel or two at best."""

_SAME_DIRECTION = np.radians(30.0)
"""From one pixel of a crest to the next its direction differs by less."""

_CORNER = np.radians(50.0)
"""From what is behind to what is ahead within reach a line turns by less, or has a corner.

Of simulated arcs with sharp ends (benchmarks/accuracy/shocks.py) 90% turn by less than 49 degrees everywhere,
and 95% of the ends by more than 68. A circle turns as much if its radius is 2.6 times that of the circles.
"""


def by_cells(
    pixels: NDArray, radius: NDArray, values: Sequence[NDArray]
) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """Numbers of the cells in which pixels lie, (n,), and means of values in every cell, (cells,) each.

    A cell is one pixel, or where circles have radii of 16 [pixels] and more, 1/8 to 1/16 of a radius wide:
    large circles give broad crests, and nothing in them is so small.
    """
    size = 2 ** np.floor(np.log2(np.maximum(radius / 8.0, 1.0))).astype(int)
    key = np.stack([size, *(pixels // size[:, None]).T], axis=1)
    _, cell, count = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    return cell, [np.bincount(cell, x) / count for x in values]


def smoothed(pixels: NDArray, angle: NDArray, own: NDArray) -> NDArray[np.float64]:
    """Mean direction of a crest within the circle of each of its pixels, of all that does not point back.

    Parameters
    ----------
    pixels : (n, 2)
        Rows and columns, of cells their middles.
    angle : (n,)
        Across the crest, from the columns to the rows [rad].
    own : (n,)
        Radii of the circles [pixels], `MIN_RADIUS` or more.
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
    """Distances of all pixels of a crest between which it can be followed.

    Each lies within the circle of the other: nothing finer is resolved, and what is further apart is parted
    by a gap. What is masked says neither that a crest goes on nor that it ends. So the hole of a point source
    does not count, if the circles on both sides of it touch and the crest leads from one side to the other:
    straight on, it passes within a radius.

    Parameters
    ----------
    pixels, angle, own
        As for `smoothed`.
    live : (ny, nx) bool
        Where the map has circles.

    Returns
    -------
    (n, n) csr_array
        Symmetric [pixels]; 0 where there is no link.
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
    """Indices of the pixels of each piece: within it every pixel is reached from every other."""
    _, number = connected_components(links, directed=False)
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


def cut_corners(links: csr_array, pixels: NDArray, angle: NDArray, own: NDArray, reach: NDArray) -> csr_array:
    """The links without those across corners, where the line turns by more than 50 degrees within reach.

    The directions behind and ahead are means within the reach. However far around a line goes in all, it
    turns by less everywhere if its curvature is resolved. The corner is where they differ most.

    Parameters
    ----------
    links, pixels, angle, own
        As for `link`, and what it gives.
    reach : (n,)
        How far from each pixel that is which decides its direction [pixels].
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
    """The line through a piece, and which of its pixels lie along it.

    Parameters
    ----------
    pixels, angle, own, links
        As for `link`, and what it gives, of the piece.

    Returns
    -------
    corners : (m, 2)
        Rows and columns, m >= 2, about a circle's radius apart; the last is the first if the line is closed.
    on : (n,) bool
        Within a circle's radius of the line; branches are not.
    """
    steps = links.power(2)  # through all pixels on the way, not from circle to circle
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
    # to both ends of the crest, which means of steps would cut off
    first = _onto(pixels[path[0]], corners[1], corners[0])
    last = _onto(pixels[path[-1]], corners[-2], corners[-1])
    return np.concatenate([[first], corners, [last]]), on


def _around(
    steps: csr_array, pixels: NDArray, angle: NDArray, own: NDArray, middle: int
) -> NDArray[np.int64] | None:
    """The way around a closed line from one of its pixels to the next; None if the line is open.

    Where the crest is cut across at that pixel, the way to the other side leads once around, or nowhere.
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
    """How far ahead an offset (n, 2) is along a crest of this direction [pixels]; the bright side is left."""
    return off[:, 0] * np.cos(angle) - off[:, 1] * np.sin(angle)


def _cut(links: coo_array, pixels: NDArray, angle: NDArray, own: NDArray, i: int) -> coo_array:
    """Links without those that lead over the line across the crest at a pixel, which is behind it."""
    off = pixels - pixels[i]
    ahead, near = _along(off, angle[i]) > 0, np.hypot(*off.T) <= 2.0 * own[i]
    a, b = links.coords
    kept = ~(near[a] & near[b] & (ahead[a] != ahead[b]))
    return coo_array((links.data[kept], (a[kept], b[kept])), shape=links.shape)


def _furthest(steps: csr_array, start: int) -> tuple[int, NDArray[np.int32]]:
    """The pixel that takes most steps from another, and the pixel before each on the way there."""
    length, before = dijkstra(steps, indices=start, return_predecessors=True)
    return int(np.argmax(length)), before


def _back(before: NDArray, start: int, end: int) -> NDArray[np.int64]:
    path = [end]
    while path[-1] != start:
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])


def _onto(point: NDArray, start: NDArray, end: NDArray) -> NDArray[np.float64]:
    """Where the straight line through two points comes closest to another."""
    way = (end - start) / np.hypot(*(end - start))
    return end + way * ((point - end) @ way)


def _pairs(pixels: NDArray, apart: float) -> NDArray[np.int64]:
    return cKDTree(pixels).query_pairs(apart, output_type="ndarray")


def _distances(pixels: NDArray, pairs: NDArray) -> NDArray[np.float64]:
    return np.hypot(*(pixels[pairs[:, 1]] - pixels[pairs[:, 0]]).T.astype(np.float64))


def _turn(angle: NDArray) -> NDArray[np.float64]:
    """An angle from -pi to pi."""
    return np.angle(np.exp(1j * angle))


def _beside_hole(pixels: NDArray, own: NDArray, live: NDArray) -> NDArray[np.bool_]:
    dead = np.argwhere(binary_fill_holes(live) & ~live)
    return cKDTree(dead).query(pixels)[0] <= own if len(dead) else np.zeros(len(pixels), bool)


def _live_between(pixels: NDArray, pairs: NDArray, live: NDArray) -> NDArray[np.float64]:
    """How much of the straight way between two pixels is live [pixels]."""
    apart = _distances(pixels, pairs)
    steps = int(np.ceil(apart.max(initial=1.0)))
    parts = (np.arange(steps) + 0.5) / steps
    start, way = pixels[pairs[:, 0]], np.diff(pixels[pairs], axis=1)[:, 0]
    row, col = (np.rint(start[:, i, None] + way[:, i, None] * parts).astype(int) for i in (0, 1))
    return live[row, col].mean(axis=1) * apart

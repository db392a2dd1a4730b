"""Proposals for the regions that a person would draw on the merged image."""

import logging
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, label
from scipy.optimize import minimize

from pyxt_hpc.arrays.box import bounding_box
from pyxt_hpc.chandra.sky.fov import Polygons, distance_outside
from pyxt_hpc.chandra.sky.tangent import mean_direction, tangent_plane, world_to_pixel
from pyxt_hpc.detect.point_sources import DetectedSource, detect_sources, emission_peak
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.files.quoting import several

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_SMOOTHINGS = (8.0, 16.0)  # pixels: standard deviations of the smoothing
_EDGE_SIGMA, _PEAK_SIGMA = 3.0, 6.0  # smallest significance of the emission at its edge and at its peak
_CONTRAST = 1.0  # smallest ratio to the background; fainter emission gives no useful temperature
_PEAK_SHARE = 0.25  # smallest ratio to the background in faint clusters, over that at the peak
_SHELLS = 10
_MIN_HALF_WIDTH = 8  # pixels: narrower bridges do not join emission
_MARGIN, _MIN_MARGIN = 0.1, 10  # fraction of the emission's extent; pixels
_CORE_SHARE = 0.8
_MAX_CORE = 0.5  # fraction of the seen field; the light curve needs the rest
_MIN_AXIS_RATIO = 0.4
_PIECE_ARCSEC = 30.0  # depth to which a circle reaches into every chip
_MAX_CIRCLE_ARCSEC = 120.0
_CHIP_CIRCLE_ARCSEC = 40.0
_CHIP_EDGE_ARCSEC = 20.0  # margin of a chip that the dither moves in and out of view
_LATTICE = 101  # points per side of a chip
_ITERATIONS = 100  # of k-means, which converges sooner


@dataclass(frozen=True, eq=False)
class FieldImages:
    """Merged images (ny, nx) of all observations on one grid, given by ``wcs``.

    The images are the counts; the vignetted exposure [s], 0 where nothing was seen; the radius with 90% of a
    point source [pixels]; and the expected background counts. If these are None, the background is assumed
    proportional to the exposure.
    """

    counts: NDArray
    exposure: NDArray
    psf_r90_pixels: NDArray
    wcs: WCS
    pixel_scale_arcsec: float
    background: NDArray | None = None


@dataclass(frozen=True)
class SkyCircle:
    """A circle on the sky [deg, arcsec]; ``text`` is a comment."""

    ra: float
    dec: float
    radius: float
    text: str = ""


@dataclass(frozen=True)
class SkyEllipse:
    """An ellipse on the sky: centre [deg], semi-axes [arcsec], angle of the first, west to north [deg]."""

    ra: float
    dec: float
    semi_major: float
    semi_minor: float
    angle: float


@dataclass(frozen=True)
class SkyBox:
    """A box on the sky with its sides along right ascension and declination [deg, arcsec]."""

    ra: float
    dec: float
    width: float
    height: float


@dataclass(frozen=True)
class Proposal:
    """Proposed regions, except the circles for the responses.

    ``sources`` are the point sources to exclude, with counts and significance as text; ``core`` is an ellipse
    about the peak with most of the emission; ``crop`` is a box around the emission.
    """

    sources: tuple[SkyCircle, ...]
    core: SkyEllipse
    crop: SkyBox


@dataclass(frozen=True)
class Chips:
    """Outlines of the chips of a dataset, and the optical axis, in RA and Dec [deg]."""

    outlines: Polygons
    axis: tuple[float, float]


def propose(images: FieldImages) -> Proposal:
    """Propose all regions except those for the responses (`response_circles`), from the merged images.

    Raises EmptySelection if nothing was seen, or no extended emission is found.
    """
    found = detect_sources(images.counts, images.exposure, images.psf_r90_pixels)
    log.info("%s found", several(len(found), "point source"))
    emission = _Emission.of(images, found)
    return Proposal(
        sources=tuple(_on_sky(images, source) for source in found),
        core=emission.core(images),
        crop=emission.box(images),
    )


def response_circles(chips: Chips, n: int) -> tuple[SkyCircle, ...]:
    """Circles for responses at ``n`` places, each on a chip, spread evenly over all chips of a kind.

    K-means, started from points far from each other, divides the chips into ``n`` parts. Each circle lies on
    a chip, as near as possible to the mean of its part. The circles are sorted by the distance of these means
    from the optical axis. For one place, the result is `response_circle`.
    """
    if n == 1:
        return (response_circle(chips),)
    plane, polygons = _on_plane(chips)
    lattices = [(ccd, *_lattice(pieces[0])) for ccd, pieces in polygons.items()]
    points = np.concatenate([points for _, points, _, _ in lattices])
    far = [points[np.argmax(np.hypot(*(points - points.mean(axis=0)).T))]]
    while len(far) < n:
        away = np.min([np.hypot(*(points - other).T) for other in far], axis=0)
        far.append(points[np.argmax(away)])
    middles, _ = kmeans2(points, np.array(far), iter=_ITERATIONS, minit="matrix", missing="raise")
    middles = middles[np.argsort(np.hypot(*(middles - np.stack(world_to_pixel(plane, *chips.axis))).T))]
    fitting = [(ccd, point, radius) for ccd, points, fits, radius in lattices for point in points[fits]]
    circles = []
    for middle in middles:
        away = np.hypot(*(np.array([point for _, point, _ in fitting]) - middle).T)
        ccd, point, radius = fitting.pop(int(np.argmin(away)))
        circles.append(_circle(plane, point, radius, f"CCD {ccd}"))
    return tuple(circles)


def response_circle(chips: Chips) -> SkyCircle:
    """Circle for one response: the smallest that reaches well into every chip, or one near the optical axis.

    The second, on one chip, is used if the first were too large, or if there is only one chip. The chips are
    all of one kind, with convex outlines.
    """
    plane, polygons = _on_plane(chips)

    def farthest(point: NDArray) -> float:
        nearest = (
            min(distance_outside(point[None], piece) for piece in pieces) for pieces in polygons.values()
        )
        return float(max(nearest)[0])

    corners = np.concatenate([piece for pieces in polygons.values() for piece in pieces])
    found = minimize(
        farthest,
        corners.mean(axis=0),
        method="Nelder-Mead",
        options={
            "initial_simplex": corners.mean(axis=0) + 60.0 * np.array([[0, 0], [1, 0], [0, 1]]),
            "xatol": 0.1,
        },
    )
    radius = float(found.fun) + _PIECE_ARCSEC
    if len(polygons) > 1 and radius <= _MAX_CIRCLE_ARCSEC:
        return _circle(plane, found.x, radius, "")
    axis = np.stack(world_to_pixel(plane, *chips.axis))
    candidates = {ccd: _near_axis(pieces[0], axis) for ccd, pieces in polygons.items()}
    ccd = min(candidates, key=lambda ccd: float(np.hypot(*(candidates[ccd][0] - axis))))
    return _circle(plane, *candidates[ccd], f"CCD {ccd}")


def _on_plane(chips: Chips) -> tuple[WCS, dict[int, list[FloatArray]]]:
    """Tangent plane [arcsec] about the chips, and the outlines of the chips on it."""
    positions = np.concatenate([p for pieces in chips.outlines.values() for p in pieces])
    plane = tangent_plane(*mean_direction(*positions.T), 1.0)
    return plane, {
        ccd: [np.column_stack(world_to_pixel(plane, *piece.T)) for piece in pieces]
        for ccd, pieces in chips.outlines.items()
    }


def _near_axis(chip: FloatArray, axis: FloatArray) -> tuple[FloatArray, float]:
    """Centre and radius [arcsec] of the circle within a quadrangle (4, 2) that is nearest to the axis."""
    points, fits, radius = _lattice(chip)
    within = points[fits]
    return within[np.argmin(np.hypot(*(within - axis).T))], radius


def _lattice(chip: FloatArray) -> tuple[FloatArray, BoolArray, float]:
    """Points (n, 2) on a quadrangle (4, 2), whether a circle about each fits inside, and its radius."""
    along, across = np.mgrid[0 : 1 : _LATTICE * 1j, 0 : 1 : _LATTICE * 1j].reshape(2, -1, 1)
    low, high = ((1 - along) * chip[i] + along * chip[j] for i, j in ((0, 1), (3, 2)))
    points = (1 - across) * low + across * high
    side = np.roll(chip, -1, axis=0) - chip
    away = points[:, None] - chip
    # The distance from the edge is the smallest distance from the lines through the sides.
    edge = (np.abs(side[:, 0] * away[..., 1] - side[:, 1] * away[..., 0]) / np.hypot(*side.T)).min(axis=1)
    # A subarray may be too narrow for the full radius.
    radius = min(_CHIP_CIRCLE_ARCSEC, 0.7 * float(edge.max()))
    return points, edge >= min(radius + _CHIP_EDGE_ARCSEC, 0.9 * float(edge.max())), radius


def _circle(plane: WCS, point: NDArray, radius: float, text: str) -> SkyCircle:
    ra, dec = plane.wcs_pix2world(*point, 1)
    return SkyCircle(float(ra), float(dec), radius, text)


def _on_sky(images: FieldImages, source: DetectedSource) -> SkyCircle:
    ra, dec = images.wcs.wcs_pix2world(source.col, source.row, 0)
    text = f"{source.counts:.0f} counts, {source.significance:.1f} sigma"
    return SkyCircle(float(ra), float(dec), source.radius * images.pixel_scale_arcsec, text)


@dataclass(frozen=True, eq=False)
class _Emission:
    """Extended emission without sources: its peak, its pixels, and its counts above the level far out."""

    peak: tuple[int, int]
    extent: BoolArray
    net: FloatArray
    seen: BoolArray

    @classmethod
    def of(cls, images: FieldImages, sources: tuple[DetectedSource, ...]) -> "_Emission":
        seen = images.exposure > 0
        if not seen.any():
            raise EmptySelection(
                "the merged exposure map is 0 everywhere: no chip in use has exposure; see which chips were "
                "on"
            )
        clear = seen & ~_covered(images.counts.shape, sources)
        exposure = np.where(clear, images.exposure, 0.0)
        counts = np.where(clear, images.counts, 0.0)
        net = counts if images.background is None else counts - np.where(clear, images.background, 0.0)
        peak = emission_peak(net, exposure)
        net = net - exposure * _far_level(net, exposure, peak)
        significant = np.zeros(seen.shape, dtype=bool)
        highest = 0.0
        for smoothing in _SMOOTHINGS:
            excess, error, level = _smoothed(net, counts, exposure, smoothing)
            height = excess / error
            highest = max(highest, float(height[peak]))
            enough = min(_CONTRAST, _PEAK_SHARE * float(excess[peak] / max(level[peak], 1e-300)))
            significant |= (height > _EDGE_SIGMA) & (excess > enough * level)
        disc = (
            np.hypot(
                *np.mgrid[-_MIN_HALF_WIDTH : _MIN_HALF_WIDTH + 1, -_MIN_HALF_WIDTH : _MIN_HALF_WIDTH + 1]
            )
            <= _MIN_HALF_WIDTH
        )
        # Beyond the image nothing is known: the emission is not narrow because the image ends.
        wide = binary_dilation(binary_erosion(significant, disc, border_value=1), disc)
        parts, _ = label(wide)
        if highest < _PEAK_SIGMA or not parts[peak]:
            raise EmptySelection(
                f"no extended emission found: the peak of the image has {max(highest, 0.0):.1f} sigma, "
                f"expected at least {_PEAK_SIGMA:g} in an area {2 * _MIN_HALF_WIDTH} pixels wide; draw the "
                "crop box and exclude.reg in DS9, or check the position of the observations"
            )
        return cls(peak, parts == parts[peak], net, seen)

    def box(self, images: FieldImages) -> SkyBox:
        """Box around the emission, with a margin, within the seen field."""
        edges = []
        for on, field in zip(bounding_box(self.extent), bounding_box(self.seen), strict=True):
            margin = max(_MIN_MARGIN, int(_MARGIN * (on.stop - 1 - on.start)))
            edges.append((max(on.start - margin, field.start) - 0.5, min(on.stop + margin, field.stop) - 0.5))
        (bottom, top), (left, right) = edges
        x, y = np.array([left, right, right, left]), np.array([bottom, bottom, top, top])
        ra, dec = (float(v) for v in images.wcs.wcs_pix2world(x.mean(), y.mean(), 0))
        east, north = world_to_pixel(tangent_plane(ra, dec, 1.0), *images.wcs.wcs_pix2world(x, y, 0))
        return SkyBox(ra, dec, float(np.ptp(east)), float(np.ptp(north)))

    def core(self, images: FieldImages) -> SkyEllipse:
        """Ellipse about the peak, with the emission's shape and at most `_CORE_SHARE` of its counts."""
        row, col = np.nonzero(self.extent)
        y, x, net = row - self.peak[0], col - self.peak[1], self.net[row, col]
        ratio, angle = _shape(y, x, net)
        along = np.cos(angle) * x + np.sin(angle) * y
        across = (np.cos(angle) * y - np.sin(angle) * x) / ratio
        distance = np.hypot(along, across)
        order = np.argsort(distance)
        inside = np.cumsum(net[order])
        major = float(distance[order][np.argmax(inside >= _CORE_SHARE * inside[-1])])
        largest = np.sqrt(_MAX_CORE * self.seen.sum() / (np.pi * ratio))
        major = min(max(major, 2.0), float(largest))
        centre = np.array([self.peak[1], self.peak[0]], dtype=float)
        end = centre + major * np.array([np.cos(angle), np.sin(angle)])
        (ra, end_ra), (dec, end_dec) = images.wcs.wcs_pix2world(*np.array([centre, end]).T, 0)
        dx, dy = (v - 1.0 for v in world_to_pixel(tangent_plane(ra, dec, 1.0), end_ra, end_dec))
        scale = images.pixel_scale_arcsec
        turned = float(np.degrees(np.arctan2(dy, dx))) % 180.0
        return SkyEllipse(float(ra), float(dec), major * scale, ratio * major * scale, turned)


def _covered(shape: tuple[int, ...], sources: tuple[DetectedSource, ...]) -> BoolArray:
    """Pixels whose centres are within a source's circle."""
    mask = np.zeros(shape, dtype=bool)
    for s in sources:
        reach = int(np.ceil(s.radius)) + 1
        top, left = max(round(s.row) - reach, 0), max(round(s.col) - reach, 0)
        box = mask[top : round(s.row) + reach + 1, left : round(s.col) + reach + 1]
        y, x = np.indices(box.shape)
        box |= np.hypot(y + top - s.row, x + left - s.col) <= s.radius
    return mask


def _far_level(net: FloatArray, exposure: FloatArray, peak: tuple[int, int]) -> float:
    """Lowest mean net rate [count s^-1 pixel^-1] in the outer half of shells of equal exposure."""
    row, col = np.nonzero(exposure > 0)
    distance = np.hypot(row - peak[0], col - peak[1])
    order = np.argsort(distance)
    seen, inside = (np.cumsum(image[row, col][order]) for image in (exposure, net))
    ends = np.searchsorted(seen, seen[-1] * np.linspace(0.0, 1.0, _SHELLS + 1)[1:]).clip(max=len(seen) - 1)
    rates = np.diff(inside[ends], prepend=0.0) / np.maximum(np.diff(seen[ends], prepend=0.0), 1e-300)
    return float(rates[_SHELLS // 2 :].min())


def _smoothed(
    net: FloatArray, counts: FloatArray, exposure: FloatArray, smoothing: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Smoothed net rate, its error, and the smoothed rate of everything else, (ny, nx) each."""
    weight = gaussian_filter(exposure, smoothing, mode="constant")
    weight[weight < 0.05 * weight.max()] = np.inf
    # The variance of a smoothed image is that of the counts, smoothed with the squared filter.
    variance = gaussian_filter(counts, smoothing / np.sqrt(2.0), mode="constant") / (
        4.0 * np.pi * smoothing**2
    )
    excess = gaussian_filter(net, smoothing, mode="constant") / weight
    error = np.sqrt(np.maximum(variance, 1e-12)) / weight
    error[error == 0.0] = np.inf
    total = gaussian_filter(counts, smoothing, mode="constant") / weight
    return excess, error, total - excess


def _shape(y: NDArray, x: NDArray, weight: FloatArray) -> tuple[float, float]:
    """Axis ratio, limited from below, and angle [rad, from +x to +y] of emission, from second moments."""
    moments = np.array([[(weight * x * x).sum(), (weight * x * y).sum()], [0.0, (weight * y * y).sum()]])
    values, vectors = np.linalg.eigh(moments, UPLO="U")
    ratio = np.sqrt(max(values[0], 0.0) / values[1]) if values[1] > 0 else 1.0
    return float(np.clip(ratio, _MIN_AXIS_RATIO, 1.0)), float(np.arctan2(vectors[1, 1], vectors[0, 1]))

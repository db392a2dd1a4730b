"""Detection of point sources in images of a cluster.

Candidates are maxima of the image, filtered with the local point spread, above a smooth model of all wider
emission. Each is then fitted on emission with gradient and curvature (`point_source_fit`), and kept if it is
significant and not wider than the point spread. Counts and exposure are filtered in the same way, so that
gaps and edges of the field cause no maxima.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.optimize import brentq

from pyxt_hpc.arrays.blocks import block_sums
from pyxt_hpc.arrays.box import bounding_box
from pyxt_hpc.chandra.sky.psf import R90_PER_SIGMA
from pyxt_hpc.detect.point_source_fit import fit_point

FloatArray = NDArray[np.float64]

_MIN_SIGMA = 0.3  # pixels; aspect and pixel size blur every image
_SCALE_STEP, _SCALE_REACH = 1.5, 1.3
_PIXEL_VARIANCE = 0.4  # pixel^2, added to the filter's, so that a source shared by four pixels is found
_WIDE = 3.0  # width of the smooth model's filter, in units of the source's
_CANDIDATE_SIGMA = 3.2
_WINDOW_R90 = 3.0
_MIN_WINDOW, _MAX_WINDOW = 6, 30  # pixels
_EXTENDED_WIDTH, _EXTENDED_GAIN = 1.6, 6.0
_SMOOTHNESS = 0.02  # fraction of the emission in a point spread that may be structure of the cluster
_RADIUS_R90 = float(np.sqrt(2.0))  # a circle of this radius has 99% of a Gaussian
_PEAK_SMOOTHING = (16.0, 8.0, 4.0, 2.0)  # pixels
_PEAK_MARGIN = 2.0  # pixels


@dataclass(frozen=True)
class DetectedSource:
    """A detected source: position [pixels, from 0] and all of its counts in the image.

    ``background`` is the number of other counts within the radius that has 90% of the source;
    ``significance`` is in standard deviations of a Gaussian; ``radius`` [pixels] is that of the circle to
    exclude, which has 99% of the point spread, or more for bright sources.
    """

    row: float
    col: float
    counts: float
    background: float
    significance: float
    radius: float


def detect_sources(
    counts: ArrayLike, exposure: ArrayLike, psf_r90_pixels: ArrayLike, *, false_per_field: float = 0.3
) -> tuple[DetectedSource, ...]:
    """Find the point sources of an image, the most significant first, without the peak of the emission.

    The images (ny, nx) are the counts; the vignetted exposure [s], 0 where nothing was seen; and the radius
    with 90% of the counts of a point source [pixels]. In an image like this one, ``false_per_field`` maxima
    of noise exceed the threshold on average; about half of them are then excluded as too wide.
    """
    exposure = np.ascontiguousarray(np.where(np.asarray(exposure) > 0, exposure, 0.0), dtype=np.float64)
    counts = np.ascontiguousarray(np.where(exposure > 0, counts, 0), dtype=np.float64)
    sigma = np.maximum(np.asarray(psf_r90_pixels, dtype=np.float64) / R90_PER_SIGMA, _MIN_SIGMA)
    if not exposure.any():
        return ()
    search = _Search(counts, exposure, sigma, _threshold(sigma[exposure > 0], false_per_field))
    search.add_sources()
    search.add_sources()  # The second pass finds faint neighbours of bright sources.
    search.fit_again()
    sources = search.sources
    peak = emission_peak(counts - search.known, exposure)
    sources = [s for s in sources if not _is_peak(s, peak)]
    return tuple(sorted(sources, key=lambda s: -s.significance))


def emission_peak(counts: FloatArray, exposure: FloatArray) -> tuple[int, int]:
    """Row and column of the peak of extended emission, from counts (ny, nx) without point sources.

    The search goes from coarse to fine smoothing, each near the peak found before, so that small features do
    not mislead it. ``exposure`` is (ny, nx) [s].
    """
    row, col, reach = 0, 0, max(counts.shape)
    for smoothing in _PEAK_SMOOTHING:
        top, left = max(row - reach, 0), max(col - reach, 0)
        margin = int(4 * smoothing)
        box = np.s_[max(top - margin, 0) : row + reach + margin, max(left - margin, 0) : col + reach + margin]
        smooth = gaussian_filter(exposure[box], smoothing, mode="constant")
        rate = np.where(
            smooth > 0.2 * smooth.max(),
            gaussian_filter(counts[box], smoothing, mode="constant") / np.maximum(smooth, 1e-300),
            -np.inf,
        )
        corner = max(top - margin, 0), max(left - margin, 0)
        inner = rate[
            top - corner[0] : row + reach + 1 - corner[0], left - corner[1] : col + reach + 1 - corner[1]
        ]
        found = np.unravel_index(np.argmax(inner), inner.shape)
        row, col, reach = top + int(found[0]), left + int(found[1]), int(2 * smoothing)
    return row, col


def _threshold(sigma: FloatArray, false_per_field: float) -> float:
    """Height u [standard deviations] that ``false_per_field`` maxima of filtered noise exceed; at least 1.

    The expected number of maxima per pixel is sqrt(|L|) u exp(-u^2/2)/(2 pi)^(3/2) (Adler 1981, The Geometry
    of Random Fields, ch. 6), with sqrt(|L|) = 1/(2 sigma^2) for white noise filtered with a Gaussian.
    """
    density = np.sum(1.0 / (2.0 * (sigma**2 + 1.0 / 12.0))) / (2.0 * np.pi) ** 1.5
    if density * np.exp(-0.5) <= false_per_field:
        return 1.0
    return float(brentq(lambda u: np.log(density * u / false_per_field) - 0.5 * u * u, 1.0, 20.0))


def _is_peak(source: DetectedSource, peak: tuple[int, int]) -> bool:
    """Whether a source is the emission's peak: it lies there and is not brighter than the emission."""
    near = np.hypot(source.row - peak[0], source.col - peak[1]) <= source.radius + _PEAK_MARGIN
    return bool(near and 0.9 * source.counts < source.background)


class _Search:
    """Sources found so far, and their expected counts."""

    def __init__(self, counts: FloatArray, exposure: FloatArray, sigma: FloatArray, threshold: float) -> None:
        self.counts, self.exposure, self.sigma, self.threshold = counts, exposure, sigma, threshold
        self.known = np.zeros(counts.shape)
        self.sources: list[DetectedSource] = []

    def add_sources(self) -> None:
        """Fit all candidates, the highest maximum first."""
        for row, col in self._candidates():
            if not self._is_taken(row, col):
                source = self._fit(row, col)
                if source is not None and not self._is_taken(source.row, source.col):
                    self.sources.append(source)
                    self._paint(source, 1.0)

    def fit_again(self) -> None:
        """Fit every source again, with the counts of all others known."""
        found, self.sources = self.sources, []
        for source in found:
            self._paint(source, -1.0)
            again = self._fit(source.row, source.col)
            if again is not None and not self._is_taken(again.row, again.col):
                self.sources.append(again)
                self._paint(again, 1.0)

    def _is_taken(self, row: float, col: float) -> bool:
        return any(np.hypot(s.row - row, s.col - col) <= s.radius for s in self.sources)

    def _fit(self, row: float, col: float) -> DetectedSource | None:
        sigma = self.sigma[self._pixel(row, col)]
        spread = np.hypot(sigma, np.sqrt(1.0 / 12.0))
        r90 = R90_PER_SIGMA * spread
        half = int(np.clip(np.ceil(_WINDOW_R90 * r90), _MIN_WINDOW, _MAX_WINDOW))
        result = np.empty(8)
        fit_point(self.counts, self.exposure, self.known, row, col, sigma, half, self.threshold**2, result)
        statistic, row, col, counts, background, width, gain, edge = result.tolist()
        extended = width >= _EXTENDED_WIDTH and gain > _EXTENDED_GAIN
        if statistic < self.threshold**2 or extended or edge >= 0.0:
            return None
        noise = np.hypot(1.0 / np.sqrt(statistic), _SMOOTHNESS * background / (0.9 * counts))
        if noise > 1.0 / self.threshold:
            return None
        # The circle grows with the counts, to cover the wings of bright sources.
        radius = _RADIUS_R90 * r90 * max(counts / 100.0, 1.0) ** 0.2 + 0.5
        return DetectedSource(row, col, counts, background, float(1.0 / noise), float(radius))

    def _pixel(self, row: float, col: float) -> tuple[int, int]:
        ny, nx = self.counts.shape
        return min(max(round(row), 0), ny - 1), min(max(round(col), 0), nx - 1)

    def _paint(self, source: DetectedSource, sign: float) -> None:
        """Add a source's expected counts to `known` (sign 1), or subtract them (sign -1)."""
        pixel = self._pixel(source.row, source.col)
        spread = np.hypot(self.sigma[pixel], np.sqrt(1.0 / 12.0))
        half = int(np.ceil(5.0 * spread))
        box = tuple(np.s_[max(p - half, 0) : p + half + 1] for p in pixel)
        y, x = (np.arange(b.start, min(b.stop, n)) for b, n in zip(box, self.counts.shape, strict=True))
        weight = np.exp(-0.5 * (y[:, None] - source.row) ** 2 / spread**2)
        weight = weight * np.exp(-0.5 * (x - source.col) ** 2 / spread**2)
        seen = weight * self.exposure[box]
        if seen.any():
            self.known[box] += sign * source.counts * seen / seen.sum()

    def _candidates(self) -> list[tuple[float, float]]:
        """Rows and columns of the filtered image's maxima, the highest first."""
        found: list[tuple[float, float, float]] = []
        for scale in _scales(self.sigma[self.exposure > 0]):
            # Scales overlap slightly, so that no maximum falls between two.
            low, high = scale / _SCALE_REACH, scale * _SCALE_REACH
            belongs = (self.sigma >= low) & (self.sigma < high) & (self.exposure > 0)
            if belongs.any():
                found += self._maxima(scale, belongs)
        return [(row, col) for _, row, col in sorted(found, reverse=True)]

    def _maxima(self, scale: float, belongs: NDArray[np.bool_]) -> list[tuple[float, float, float]]:
        """(height, row, column) of the maxima in pixels (ny, nx) with a point spread of this scale."""
        factor = 2 ** max(int(np.log2(scale / 1.2)), 0)
        margin = int(np.ceil(8 * _WIDE * scale))
        box = tuple(
            np.s_[max(on.start - margin, 0) // factor * factor : on.stop + margin]
            for on in bounding_box(belongs)
        )
        counts, exposure, known, member = (
            block_sums(image[box], factor) for image in (self.counts, self.exposure, self.known, belongs)
        )
        spread = np.sqrt(scale**2 + _PIXEL_VARIANCE) / factor
        smooth = _smooth_model(counts - known, exposure, _WIDE * spread)
        delta = np.zeros((2 * int(4 * spread + 1) + 1,) * 2)
        delta[delta.shape[0] // 2, delta.shape[1] // 2] = 1.0
        norm = float((gaussian_filter(delta, spread, mode="constant") ** 2).sum())
        observed = gaussian_filter(counts, spread, mode="constant") / norm
        expected = np.maximum(gaussian_filter(smooth + known, spread, mode="constant") / norm, 1e-3)
        height = np.sqrt(_excess(observed, expected))
        peaks = (height > _CANDIDATE_SIGMA) & (height == maximum_filter(height, 3)) & (member > 0)
        row, col = np.nonzero(peaks)
        shift = 0.5 * (factor - 1)
        rows, cols = factor * row + shift + box[0].start, factor * col + shift + box[1].start
        return list(zip(height[row, col].tolist(), rows.tolist(), cols.tolist(), strict=True))


def _scales(sigma: FloatArray) -> Iterator[float]:
    scale = float(sigma.min())
    while scale < float(sigma.max()) * np.sqrt(_SCALE_STEP):
        yield scale
        scale *= _SCALE_STEP


def _smooth_model(counts: FloatArray, exposure: FloatArray, sigma: float) -> FloatArray:
    """Expected counts of emission wider than a Gaussian of ``sigma`` pixels.

    The residuals of the first smoothing are smoothed and added, which leaves gradients and curvature
    unbiased ("twicing", Tukey 1977).
    """
    weight = gaussian_filter(exposure, sigma, mode="constant")
    weight[weight < 1e-3 * weight.max()] = np.inf
    first = gaussian_filter(counts, sigma, mode="constant") / weight
    second = first + gaussian_filter(counts - exposure * first, sigma, mode="constant") / weight
    return exposure * np.maximum(second, 0.3 * np.maximum(first, 0.0))


def _excess(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """2 ln(L/L0) of counts above their expectation (Cash 1979); 0 below it."""
    above = observed > expected
    n, b = np.where(above, observed, 1.0), np.where(above, expected, 1.0)
    return np.where(above, np.maximum(2.0 * (n * np.log(n / b) - (n - b)), 0.0), 0.0)

"""The surface brightness in a soft band, in rings around a centre."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.errors import ConfigError, EmptySelection
from pyxt_hpc.fit.inputs import source_model
from pyxt_hpc.profiles.centre import Frame

FloatArray = NDArray[np.float64]

_TYPICAL_KT = 5.0
"""Temperature [keV] of the spectrum that weights datasets and determines the energy of the vignetting."""

_PIXEL_SQUARE = 1.0 / 6.0
"""Mean square distance of a pixel's points from its centre [pixel^2]."""

_MIN_COMPLETE = 0.15
"""Smallest live fraction of the outermost ring of a profile."""


@dataclass(frozen=True, eq=False)
class BandImages:
    """Images of a cluster in a band.

    Parameters
    ----------
    counts, background, variance
        (ny, nx) counts, expected background counts, and their variance.
    exposure
        (ny, nx) vignetted exposure [s], in which datasets are weighted by their sensitivity relative to the
        most sensitive one; 0 on dead pixels.
    """

    counts: NDArray
    background: NDArray
    variance: NDArray
    exposure: NDArray

    @classmethod
    def of(cls, bundle: Bundle) -> "BandImages":
        """Images of the whole band of a bundle."""
        return cls(bundle.counts, bundle.background, bundle.background_variance, bundle.exposure)


@dataclass(frozen=True, eq=False)
class SoftBand:
    """Images of a band, and count rates of gas in it.

    Parameters
    ----------
    energy_keV
        Edges of the band, within those of the bundle.
    images
        Images in this band.
    kT, hhe, metals
        (n_kT,) temperatures [keV], and rates [count s^-1] of the most sensitive dataset at norm 1: from H and
        He, and from metals at abundance 1.
    """

    energy_keV: tuple[float, float]
    images: BandImages
    kT: FloatArray
    hhe: FloatArray
    metals: FloatArray

    def rate(self, kT: ArrayLike, abundance: ArrayLike) -> FloatArray:
        """Rate [count s^-1] of gas with norm 1 at temperatures [keV] and abundances [solar]."""
        at = np.asarray(kT, float)
        light, heavy = (np.interp(at, self.kT, rates) for rates in (self.hhe, self.metals))
        return np.asarray(light + np.asarray(abundance) * heavy, float)


def soft_band(bundle: Bundle, energy_min_keV: float, energy_max_keV: float) -> SoftBand:
    """Extract a band from a bundle.

    Parameters
    ----------
    bundle
        The cluster.
    energy_min_keV, energy_max_keV
        Edges; the band is limited to that of the bundle.

    Raises
    ------
    ConfigError
        If the band is empty, or does not overlap that of the bundle.
    """
    if not energy_min_keV < energy_max_keV:
        raise ConfigError(f"band {energy_min_keV:g}-{energy_max_keV:g} keV: expected the lower energy first")
    low, high = max(energy_min_keV, bundle.energy_min_keV), min(energy_max_keV, bundle.energy_max_keV)
    if not low < high:
        raise ConfigError(
            f"band {energy_min_keV:g}-{energy_max_keV:g} keV: the bundle of {bundle.name} has "
            f"{bundle.energy_min_keV:g}-{bundle.energy_max_keV:g} keV: choose a band within"
        )
    shape, source = bundle.mask.shape, source_model(bundle)
    counts, background, variance = (np.zeros(shape) for _ in range(3))
    rates, energies = [], []
    for observation in bundle.observations:
        rmf = observation.rmf
        middle = 0.5 * (rmf.channel_lo_keV + rmf.channel_hi_keV)
        inside = (middle >= low) & (middle < high)
        at, own = observation.place, observation.mask.shape
        counts[at] += _image(observation.event_indptr, inside[observation.event_channel], own)
        blank = _image(observation.background_indptr, inside[observation.background_channel], own)
        background[at] += observation.background_scale * blank
        variance[at] += observation.background_scale**2 * blank
        folded = source.fold(observation.arf, rmf)
        rates.append(np.stack([folded.hhe[:, inside].sum(axis=1), folded.metals[:, inside].sum(axis=1)]))
        typical = _at(_TYPICAL_KT, folded.kT, folded.at_abundance(bundle.abundance)[:, inside])
        energies.append(float(typical @ middle[inside] / typical.sum()))
    sensitivity = np.array([_at(_TYPICAL_KT, folded.kT, r[0] + bundle.abundance * r[1]) for r in rates])
    best = int(np.argmax(sensitivity))
    exposure = np.zeros(shape)
    for observation, relative, energy in zip(
        bundle.observations, sensitivity / sensitivity[best], energies, strict=True
    ):
        exposure[observation.place] += relative * observation.exposure_s * observation.relative_area(energy)
    live = (bundle.mask > 0) & (exposure > 0)
    images = BandImages(*(np.where(live, image, 0.0) for image in (counts, background, variance, exposure)))
    return SoftBand((low, high), images, folded.kT, *rates[best])


def _at(kT: float, nodes: FloatArray, rates: FloatArray) -> FloatArray:
    """Rates at the node nearest to a temperature."""
    return np.asarray(rates[int(np.abs(nodes - kT).argmin())])


def _image(indptr: NDArray, chosen: NDArray[np.bool_], shape: tuple[int, int]) -> FloatArray:
    """Number of chosen events in every pixel."""
    total = np.concatenate([[0], np.cumsum(chosen)])
    return np.diff(total[indptr]).reshape(shape).astype(float)


@dataclass(frozen=True, eq=False)
class Rings:
    """Sums over rings around a centre; all are (n,) except the edges.

    Parameters
    ----------
    edges
        (n + 1,) radii of circles with the area of all pixels within [arcsec].
    radius
        Root mean square distance of the points of live pixels from the centre [arcsec].
    counts, background, variance
        Sums of the images of `BandImages`.
    exposure
        Exposure x solid angle [s arcmin^2]; 0 if no pixel is live.
    complete
        Fraction of the ring, or of its part in the sector, that is live.
    """

    edges: FloatArray
    radius: FloatArray
    counts: FloatArray
    background: FloatArray
    variance: FloatArray
    exposure: FloatArray
    complete: FloatArray

    @property
    def brightness(self) -> FloatArray:
        """Brightness [count s^-1 arcmin^-2], NaN if no pixel is live."""
        return (self.counts - self.background) / np.where(self.exposure > 0, self.exposure, np.nan)

    @property
    def error(self) -> FloatArray:
        """Error of the brightness, from Poisson errors of counts and background."""
        # Zero counts get the variance of one count, so that their error is not 0.
        variance = np.maximum(self.counts, 1.0) + self.variance
        return np.sqrt(variance) / np.where(self.exposure > 0, self.exposure, np.nan)

    def grouped(self, first: NDArray[np.int64]) -> "Rings":
        """Join rings; each new ring begins with one of the rings in `first`."""
        width = self.exposure + 1e-300
        counts, background, variance, exposure = (
            np.add.reduceat(a, first) for a in (self.counts, self.background, self.variance, self.exposure)
        )
        square = np.add.reduceat(width * self.radius**2, first) / np.add.reduceat(width, first)
        area = np.diff(self.edges**2)
        complete = np.add.reduceat(area * self.complete, first) / np.add.reduceat(area, first)
        edges = np.append(self.edges[first], self.edges[-1])
        return Rings(edges, np.sqrt(square), counts, background, variance, exposure, complete)

    def to_signal_to_noise(self, target: float, widening: float = 1.1) -> "Rings":
        """Join rings until each has the S/N `target` and a ratio of outer to inner radius of `widening`.

        Remaining rings at the end are part of the last one.
        """
        first, begin = [0], 0
        for i in range(1, len(self.counts)):
            part = slice(begin, i)
            net = self.counts[part].sum() - self.background[part].sum()
            noise = np.sqrt(self.counts[part].sum() + self.variance[part].sum())
            wide = self.edges[i] >= widening * self.edges[begin]
            if wide and net > 0 and net >= target * noise:
                first.append(i)
                begin = i
        return self.grouped(np.array(first))


def rings_of(images: BandImages, frame: Frame, pixel_arcsec: float) -> Rings:
    """Rings with the width of a pixel.

    Parameters
    ----------
    images
        Images of the cluster.
    frame
        Centre, ellipses and sector.
    pixel_arcsec
        Side of a pixel.

    Raises
    ------
    EmptySelection
        If no pixel of the sector is live, or none has counts.
    """
    shape = images.counts.shape
    radius, inside = frame.radius(shape), frame.inside(shape)
    live = inside & (images.exposure > 0)
    where = "the images" if frame.sector is None else f"the sector {frame.sector[0]:g} to {frame.sector[1]:g}"
    if not live.any() or not images.counts[live].any():
        raise EmptySelection(
            f"{where} about row {frame.row:.1f}, column {frame.col:.1f}: "
            + ("no pixel is live" if not live.any() else "no counts in the band")
            + ": choose another centre or sector"
        )
    ring = radius[live].astype(np.int64)
    number = int(ring.max()) + 1
    edges = frame.area_radii(np.arange(number + 1.0))

    def sums(values: NDArray) -> FloatArray:
        return np.bincount(ring, values[live], number).astype(float)

    pixels = sums(np.ones(shape))
    complete = pixels / (frame.turn * np.pi * np.diff(edges**2))
    end = int(np.flatnonzero(complete >= _MIN_COMPLETE).max(initial=0)) + 1
    middle = np.sqrt(0.5 * (edges[1:] ** 2 + edges[:-1] ** 2))
    square = np.where(pixels > 0, sums(radius**2) / np.maximum(pixels, 1.0) + _PIXEL_SQUARE, middle**2)
    arcmin2 = (pixel_arcsec / 60.0) ** 2
    return Rings(
        edges=edges[: end + 1] * pixel_arcsec,
        radius=np.sqrt(square)[:end] * pixel_arcsec,
        counts=sums(images.counts)[:end],
        background=sums(images.background)[:end],
        variance=sums(images.variance)[:end],
        exposure=sums(images.exposure)[:end] * arcmin2,
        complete=np.minimum(complete, 1.0)[:end],
    )

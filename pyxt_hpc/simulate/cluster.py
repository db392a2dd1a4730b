"""The truth of a simulated cluster: its sky before the observation.

The gas is two-dimensional, with one temperature at each sky position, so that a fit at one position has a
single true temperature; a projection along the line of sight would mix several.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from pyxt_hpc.arrays.interpolate import bracket
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.spectra.models.abundances import abundances
from pyxt_hpc.spectra.models.gas import CM_PER_KPC

PIXEL_ARCSEC = 1.968
# Total norm of `demo_truth` per count of 0.7-8 keV in the observations of `demo_plans`.
_NORM_PER_COUNT = 6.85e-8


@dataclass(frozen=True)
class PointSource:
    """A power law with photon ``index`` and unabsorbed ``flux`` at 1 keV [photon cm^-2 s^-1 keV^-1]."""

    ra: float
    dec: float
    flux: float
    index: float = 1.7


@dataclass(frozen=True, eq=False)
class ClusterTruth:
    """Maps of the gas, and point sources.

    Attributes
    ----------
    ra, dec : float
        Centre [deg].
    redshift, nH : float
        Redshift, and column density [1e22 cm^-2].
    wcs : WCS
        Sky coordinates of the maps (1-based pixels).
    kT, norm, abundance : (ny, nx) float64
        Temperature [keV], XSPEC apec norm of each pixel, abundance [solar]. There is no gas outside the maps.
    sources : tuple of PointSource
    field_arcmin : float
        Side of the box that a user would draw around the emission.
    absorption, abundance_table : str
    depth_kpc : float
        Depth of the gas along the line of sight, over which it is uniform; it relates the norm to the
        density.
    """

    ra: float
    dec: float
    redshift: float
    nH: float
    wcs: WCS
    kT: NDArray[np.float64]
    norm: NDArray[np.float64]
    abundance: NDArray[np.float64]
    sources: tuple[PointSource, ...] = ()
    field_arcmin: float = 14.0
    absorption: str = "phabs"
    abundance_table: str = "angr"
    depth_kpc: float = 1000.0

    @property
    def density(self) -> NDArray[np.float64]:
        """Electron density (ny, nx) [cm^-3].

        From norm = 1e-14/(4 pi (D_A (1 + z))^2) int n_e n_H dV, where the distance cancels.
        """
        solid_angle = np.radians(PIXEL_ARCSEC / 3600.0) ** 2
        number = abundances(self.abundance_table)
        charges = number * np.arange(1, len(number) + 1)
        electrons = charges[:2].sum() + self.abundance * charges[2:].sum()
        squared = self.norm * 4e14 * np.pi * (1.0 + self.redshift) ** 2 / (solid_angle * self.depth_kpc)
        return np.sqrt(electrons * squared / CM_PER_KPC)

    def norms_at(self, nodes: NDArray[np.float64]) -> Iterator[tuple[int, NDArray, NDArray]]:
        """Distribute the gas over temperatures between which spectra are linear in kT.

        Parameters
        ----------
        nodes : (n_kT,)
            Ascending temperatures [keV].

        Yields
        ------
        node : int
            Index of a temperature.
        norm, metals : (ny, nx)
            Norm of each pixel at this temperature, and the norm times its abundance.
        """
        lower, share = bracket(nodes, self.kT)
        for node in range(lower.min(), lower.max() + 2):
            weight = np.where(lower == node, 1.0 - share, np.where(lower == node - 1, share, 0.0)) * self.norm
            yield node, weight, weight * self.abundance


def demo_truth(counts: float = 1e6, field_arcmin: float = 14.0) -> ClusterTruth:
    """A beta model cluster with a cool core, a shock in one sector and an abundance gradient.

    The shock front is an arc 3' from the centre, 120 degrees wide. Just behind it, the gas has 12 keV and 2.6
    times the emission of the undisturbed side; both excesses decrease inwards and towards the ends of the
    arc.

    Parameters
    ----------
    counts
        Approximate number of 0.7-8 keV counts of the cluster in the observations of `demo_plans`.
    field_arcmin
        Side of the crop box; the side of the maps of the gas is 1.5 times larger.
    """
    ra, dec = 150.0, 20.0
    half = int(np.ceil(0.75 * field_arcmin * 60.0 / PIXEL_ARCSEC))
    wcs = tangent_plane(ra, dec, PIXEL_ARCSEC, crpix=(half + 1, half + 1))
    y, x = np.mgrid[-half : half + 1, -half : half + 1] * PIXEL_ARCSEC
    radius, angle = np.hypot(x, y), np.degrees(np.arctan2(y, x))

    shock = _behind_front(radius, angle, front=180.0, depth=70.0, middle=35.0, half_width=60.0)
    kT = 4.3 + 3.7 * radius**2 / (radius**2 + 60.0**2)
    kT += shock * (12.0 - kT)
    norm = _beta_model(radius, 75.0, 0.62) + 6.0 * _beta_model(radius, 18.0, 0.62)
    norm *= 1.0 + 1.6 * shock
    norm *= counts * _NORM_PER_COUNT / norm.sum()
    abundance = 0.25 + 0.25 / (1.0 + (radius / 80.0) ** 2)
    return ClusterTruth(
        ra=ra,
        dec=dec,
        redshift=0.1,
        nH=0.05,
        wcs=wcs,
        kT=kT,
        norm=norm,
        abundance=abundance,
        sources=_demo_sources(ra, dec),
        field_arcmin=field_arcmin,
    )


def _beta_model(radius: NDArray[np.float64], core: float, beta: float) -> NDArray[np.float64]:
    """Projected emission measure (Cavaliere & Fusco-Femiano 1976), 1 at the centre."""
    return (1.0 + (radius / core) ** 2) ** (0.5 - 3.0 * beta)


def _behind_front(
    radius: NDArray[np.float64],
    angle: NDArray[np.float64],
    front: float,
    depth: float,
    middle: float,
    half_width: float,
) -> NDArray[np.float64]:
    """Weight that is 1 inside the middle of an arc, 0 outside, and falls inwards and to the arc's ends."""
    off = (angle - middle + 180.0) % 360.0 - 180.0
    along = np.where(np.abs(off) < half_width, np.cos(0.5 * np.pi * off / half_width), 0.0)
    inwards = np.where(radius < front, np.exp(-(((front - radius) / depth) ** 2)), 0.0)
    return np.sqrt(along) * inwards


def _demo_sources(ra: float, dec: float) -> tuple[PointSource, ...]:
    # Offsets to the west and north [arcsec], flux [1e-6 photon cm^-2 s^-1 keV^-1].
    table = (
        (-95.0, 130.0, 12.0),
        (60.0, -155.0, 30.0),
        (-170.0, -60.0, 8.0),
        (215.0, 20.0, 15.0),
        (-30.0, 285.0, 20.0),
        (-290.0, 120.0, 10.0),
        (150.0, -300.0, 25.0),
        (320.0, 250.0, 18.0),
        (-250.0, -330.0, 40.0),
        (380.0, -130.0, 9.0),
    )
    west, north, flux = np.array(table).T
    plane = tangent_plane(ra, dec, 1.0)
    source_ra, source_dec = plane.wcs_pix2world(west + 1.0, north + 1.0, 1)
    return tuple(
        PointSource(float(r), float(d), float(f))
        for r, d, f in zip(source_ra, source_dec, 1e-6 * flux, strict=True)
    )

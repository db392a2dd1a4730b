"""How well fitted regions agree with the known truth of a simulated cluster."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from scipy.ndimage import map_coordinates

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.chandra.fitsfile import open_fits
from pyxt_hpc.preprocess.images import exposure_map
from pyxt_hpc.spectra.extract import disc_sums


@dataclass(frozen=True)
class TruthComparison:
    """Fitted temperatures against the truth averaged over each circle.

    Parameters
    ----------
    deviation
        (n_region,) (kT - truth)/sigma, sigma being the half of the 68% interval on the truth's side.
    inside
        (n_region,) whether the 68% interval holds the truth.
    """

    deviation: np.ndarray
    inside: np.ndarray

    @property
    def median(self) -> float:
        """Bias in units of the error."""
        return float(np.median(self.deviation))

    @property
    def scatter(self) -> float:
        """Standard deviation from the 16th to 84th percentile; 1 where errors are right."""
        low, high = np.percentile(self.deviation, [15.865, 84.135])
        return float(0.5 * (high - low))

    @property
    def coverage(self) -> float:
        """Fraction of the regions whose 68% interval holds the truth."""
        return float(np.mean(self.inside))


def read_truth(path: Path, bundle: Bundle) -> np.ndarray:
    """Sample a truth map at the pixel centres of the bundle (bilinear).

    Parameters
    ----------
    path
        FITS image with sky coordinates, as the simulator writes it.
    bundle
        Its grid is sampled.

    Returns
    -------
    numpy.ndarray
        (ny, nx); the nearest edge value outside the truth map.
    """
    with open_fits(path, "truth map", "only simulated clusters have one", ours=True) as hdus:
        values, truth_wcs = np.asarray(hdus[0].data, float), WCS(hdus[0].header)
    grid = WCS(fits.Header.fromstring(bundle.wcs_header))
    row, col = np.indices(bundle.mask.shape)
    x, y = truth_wcs.world_to_pixel(grid.pixel_to_world(col, row))
    return map_coordinates(values, [y, x], order=1, mode="nearest")


def spectroscopic_like_temperature(
    kT: np.ndarray, norm: np.ndarray, row: np.ndarray, col: np.ndarray, radius: np.ndarray
) -> np.ndarray:
    """Temperature that one fit to the gas of a whole circle would find.

    Weights of Mazzotta et al. 2004, MNRAS 354, 10, eq. 14: n^2 T^(-3/4).

    Parameters
    ----------
    kT
        (ny, nx) temperature [keV].
    norm
        (ny, nx) emission measure seen by the detector, in any unit.
    row, col, radius
        (n_region,) circles [pixels].
    """
    weight = norm * kT**-0.75
    images = np.stack([weight * kT, weight])
    sums = disc_sums(row, col, radius, images)
    return sums[:, 0] / sums[:, 1]


def compare_with_truth(rows: np.ndarray, bundle: Bundle, truth_directory: Path) -> TruthComparison:
    """Compare fitted regions with the truth averaged over each circle.

    Parameters
    ----------
    rows
        Fitted regions of the results store. Where the interval is open on the truth's side there is no
        sigma: the region counts for the coverage only.
    bundle
        The cluster they were fitted from.
    truth_directory
        Holds ``kT.fits`` and ``norm.fits``.
    """
    kT = read_truth(truth_directory / "kT.fits", bundle)
    norm = read_truth(truth_directory / "norm.fits", bundle) * exposure_map(bundle.observations)
    truth = spectroscopic_like_temperature(kT, norm, rows["row"], rows["col"], rows["radius"])
    above = truth > rows["kT"]
    sigma = np.where(above, rows["kT_hi"] - rows["kT"], rows["kT"] - rows["kT_lo"])
    # An open side reaches to the bound of kT: it holds any truth beyond.
    inside = np.where(np.isfinite(sigma), np.abs(truth - rows["kT"]) <= sigma, True)
    deviation = ((rows["kT"] - truth) / sigma)[np.isfinite(sigma)]
    return TruthComparison(deviation, inside)


@dataclass(frozen=True)
class GasComparison:
    """Fitted over true density, and pressure, of circles: (n_region,) each."""

    density: np.ndarray
    pressure: np.ndarray


def compare_gas_with_truth(
    rows: np.ndarray, density: np.ndarray, bundle: Bundle, truth_directory: Path
) -> GasComparison:
    """Compare densities [cm^-3] of fitted regions with the truth of each circle.

    The true density of a circle is the root of its mean square, to which the emission belongs, and its
    pressure that times the temperature that a fit would find.

    Parameters
    ----------
    rows
        Fitted regions of the results store.
    density
        (n_region,) n_e of the regions, for the depth of the truth.
    bundle
        The cluster they were fitted from.
    truth_directory
        Holds ``kT.fits``, ``norm.fits`` and ``density.fits``.
    """
    circles = rows["row"], rows["col"], rows["radius"]
    exposure = exposure_map(bundle.observations)
    kT = read_truth(truth_directory / "kT.fits", bundle)
    norm = read_truth(truth_directory / "norm.fits", bundle) * exposure
    squared = read_truth(truth_directory / "density.fits", bundle) ** 2 * exposure
    sums = disc_sums(*circles, np.stack([squared, exposure]))
    true_density = np.sqrt(sums[:, 0] / sums[:, 1])
    true_kT = spectroscopic_like_temperature(kT, norm, *circles)
    ratio = density / true_density
    return GasComparison(ratio, ratio * rows["kT"] / true_kT)

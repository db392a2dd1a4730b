"""Comparison of fitted regions with the known truth of a simulated cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from scipy.ndimage import map_coordinates

from pyxt_hpc.binning.bins import sums_of
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.files.fits import open_fits
from pyxt_hpc.fit.extraction.extract import disc_areas, disc_sums
from pyxt_hpc.fit.flags import FitFlag

RINGS_ARCMIN = (0.0, 1.5, 3.0, 4.5, 6.0, 8.0, 20.0)
"""Edges of the rings around the centre in which fits are compared with the truth."""


@dataclass(frozen=True)
class TruthComparison:
    """Comparison of fits with the truth of each circle or bin, all (n_region,).

    Parameters
    ----------
    deviation
        (kT - truth)/sigma, where sigma is the side of the 68% interval towards the truth; NaN if it is open.
    inside
        Whether the 68% interval of kT covers the truth.
    norm_ratio
        Norm over the true norm of the whole circle or bin; NaN if it extends beyond the maps of the truth.
    goodness
        Goodness of the fits.
    poor
        Whether fits have `FitFlag.POOR_FIT`.
    distance_arcmin
        Distance from the brightest pixel of the truth.
    """

    deviation: np.ndarray
    inside: np.ndarray
    norm_ratio: np.ndarray
    goodness: np.ndarray
    poor: np.ndarray
    distance_arcmin: np.ndarray

    @property
    def median(self) -> float:
        """Bias of kT, over its error."""
        return float(np.nanmedian(self.deviation))

    @property
    def scatter(self) -> float:
        """Half the distance between the 16th and 84th percentile of the deviation; 1 if errors are right."""
        low, high = np.nanpercentile(self.deviation, [15.865, 84.135])
        return float(0.5 * (high - low))

    @property
    def coverage(self) -> float:
        """Fraction of the regions whose 68% interval covers the truth."""
        return float(np.mean(self.inside))

    def of(self, chosen: np.ndarray) -> "TruthComparison":
        """Comparison of the chosen regions."""
        return TruthComparison(**{name: values[chosen] for name, values in vars(self).items()})


def ring_table(comparison: TruthComparison) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Titles and rows of a table of the agreement in rings around the centre."""
    head = (
        "arcmin",
        "regions",
        "norm/truth",
        "goodness",
        "its scatter",
        "poor fits",
        "(kT-truth)/sigma",
        "truth in 68%",
    )
    rows: list[Sequence[str]] = []
    for low, high in pairwise(RINGS_ARCMIN):
        ring = comparison.of((comparison.distance_arcmin >= low) & (comparison.distance_arcmin < high))
        if not len(ring.inside):
            continue
        known = ring.norm_ratio[np.isfinite(ring.norm_ratio)]
        judged = ring.goodness[np.isfinite(ring.goodness)]
        sided = np.isfinite(ring.deviation).any()
        rows.append(
            (
                f"{low:g}-{high:g}",
                str(len(ring.inside)),
                f"{known.mean():.3f}" if len(known) else "-",
                f"{judged.mean():+.2f}" if len(judged) else "-",
                f"{judged.std():.2f}" if len(judged) else "-",
                f"{ring.poor.mean():.1%}",
                f"{ring.median:+.2f}" if sided else "-",
                f"{ring.coverage:.1%}",
            )
        )
    return head, rows


def read_truth(path: Path, bundle: Bundle, margin: int = 0) -> np.ndarray:
    """Sample a truth map at the pixel centres of the bundle (bilinear).

    Parameters
    ----------
    path
        FITS image with sky coordinates, as the simulator writes it.
    bundle
        Bundle whose grid is sampled.
    margin
        Width of a margin around the grid that is also sampled [pixels].

    Returns
    -------
    numpy.ndarray
        (ny + 2 margin, nx + 2 margin) values; NaN beyond the truth map.
    """
    with open_fits(path, "truth map", "only simulated clusters have one", ours=True) as hdus:
        values, truth_wcs = np.asarray(hdus[0].data, float), WCS(hdus[0].header)
    row, col = np.indices([n + 2 * margin for n in bundle.mask.shape]) - margin
    x, y = truth_wcs.world_to_pixel(bundle.wcs.pixel_to_world(col, row))
    return map_coordinates(values, [y, x], order=1, mode="constant", cval=np.nan)


def spectroscopic_like_temperature(
    kT: np.ndarray, norm: np.ndarray, row: np.ndarray, col: np.ndarray, radius: np.ndarray
) -> np.ndarray:
    """Temperature that a single-temperature fit of a whole circle would find.

    It uses the weights n^2 T^(-3/4) of Mazzotta et al. 2004, MNRAS 354, 10, eq. 14.

    Parameters
    ----------
    kT
        (ny, nx) temperature [keV].
    norm
        (ny, nx) emission measure weighted by exposure, in any unit.
    row, col, radius
        (n_region,) circles [pixels].
    """
    sums = disc_sums(row, col, radius, _weighted(kT, norm))
    return sums[:, 0] / sums[:, 1]


def _weighted(kT: np.ndarray, norm: np.ndarray) -> np.ndarray:
    """Two images; the ratio of their sums over a region is its spectroscopic-like temperature."""
    weight = norm * kT**-0.75
    return np.nan_to_num(np.stack([weight * kT, weight]))


def compare_with_truth(
    rows: np.ndarray, bundle: Bundle, truth_directory: Path, labels: np.ndarray | None = None
) -> TruthComparison:
    """Compare fitted regions with the truth averaged over each circle, or each bin.

    Parameters
    ----------
    rows
        Fitted regions of the results store. A region whose interval is open on the side of the truth counts
        only for the coverage.
    bundle
        Bundle from which they were fitted.
    truth_directory
        Folder with ``kT.fits`` and ``norm.fits``.
    labels : (ny, nx) int, optional
        Label image of the bins, whose numbers ``region`` has; None: regions are circles.
    """
    kT = read_truth(truth_directory / "kT.fits", bundle)
    margin = _reach(rows) if labels is None else 0
    with_margin = read_truth(truth_directory / "norm.fits", bundle, margin)
    norm = with_margin[margin : margin + kT.shape[0], margin : margin + kT.shape[1]]
    seen = norm * bundle.exposure
    if labels is None:
        truth = spectroscopic_like_temperature(kT, seen, rows["row"], rows["col"], rows["radius"])
        true_norm = _sums_of_whole_circles(rows, with_margin, margin)
    else:
        weighted, weight, true_norm = sums_of(labels, [*_weighted(kT, seen), norm])[:, rows["region"]]
        truth = weighted / weight
    above = truth > rows["kT"]
    sigma = np.where(above, rows["kT_hi"] - rows["kT"], rows["kT"] - rows["kT_lo"])
    row, col = np.unravel_index(np.nanargmax(norm), norm.shape)
    distance = np.hypot(rows["row"] - row, rows["col"] - col) * bundle.pixel_scale_arcsec / 60.0
    return TruthComparison(
        deviation=(rows["kT"] - truth) / sigma,
        # An open side extends to the bound of kT, and so covers any truth on this side.
        inside=np.where(np.isfinite(sigma), np.abs(truth - rows["kT"]) <= sigma, True),
        norm_ratio=rows["norm"] / true_norm,
        goodness=rows["goodness"],
        poor=(rows["flags"] & int(FitFlag.POOR_FIT)) != 0,
        distance_arcmin=distance,
    )


@dataclass(frozen=True)
class GasComparison:
    """Ratios (n_region,) of fitted to true density and pressure; NaN for circles beyond the truth's maps."""

    density: np.ndarray
    pressure: np.ndarray


def compare_gas_with_truth(
    rows: np.ndarray, density: np.ndarray, bundle: Bundle, truth_directory: Path
) -> GasComparison:
    """Compare densities [cm^-3] of fitted regions with the truth of each circle.

    The true density of a circle is its root mean square, which corresponds to the norm. The true pressure is
    this density times the temperature that a fit would find.

    Parameters
    ----------
    rows
        Fitted regions of the results store.
    density
        (n_region,) n_e of the regions, for the depth of the truth.
    bundle
        Bundle from which they were fitted.
    truth_directory
        Folder with ``kT.fits``, ``norm.fits`` and ``density.fits``.
    """
    kT, margin = read_truth(truth_directory / "kT.fits", bundle), _reach(rows)
    norm = read_truth(truth_directory / "norm.fits", bundle) * bundle.exposure
    squared = read_truth(truth_directory / "density.fits", bundle, margin) ** 2
    true_density = np.sqrt(_sums_of_whole_circles(rows, squared, margin) / disc_areas(rows["radius"]))
    true_kT = spectroscopic_like_temperature(kT, norm, rows["row"], rows["col"], rows["radius"])
    ratio = density / true_density
    return GasComparison(ratio, ratio * rows["kT"] / true_kT)


def _reach(rows: np.ndarray) -> int:
    """Largest distance [pixels] to which circles may extend beyond the images."""
    return int(np.ceil(rows["radius"].max()))


def _sums_of_whole_circles(rows: np.ndarray, image: np.ndarray, margin: int) -> np.ndarray:
    """Sum over each circle of an image with a margin; NaN if a circle extends beyond it."""
    return disc_sums(rows["row"] + margin, rows["col"] + margin, rows["radius"], image[None])[:, 0]

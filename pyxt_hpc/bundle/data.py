"""Images and observations of a cluster on one grid, and the exposure and brightness computed from them.

An observation here is a dataset: the chips of one kind (front- or back-illuminated) of an ObsID or, if there
are responses for several places, the part of them around one place.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.box import bounding_box
from pyxt_hpc.arrays.compiled import compiled
from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.spectra.models.absorption import transmission

if TYPE_CHECKING:  # ranks that fit do not need it, and start faster without it
    from astropy.wcs import WCS


@dataclass(frozen=True, eq=False)
class BundleObservation:
    """One observation on a part of the common grid; for fields, see `file.OBSERVATION_DATASETS`.

    Its images have the pixels `place` of the grid and are dead elsewhere: a field is a small part of a large
    mosaic.
    """

    obsid: str
    exposure_s: float
    background_scale: float
    mask: NDArray[np.uint8]
    vignetting_keV: NDArray[np.float64]
    vignetting: NDArray[np.float32]
    event_indptr: NDArray[np.int64]
    event_channel: NDArray[np.int16]
    background_indptr: NDArray[np.int64]
    background_channel: NDArray[np.int16]
    arf: Arf
    rmf: Rmf
    first_row: int = 0
    first_col: int = 0
    dataset: str = ""
    """Name of the dataset; an empty name is replaced by the ObsID."""
    area_of: str = "vignetting table"
    date_obs: str = ""
    date_end: str = ""

    def __post_init__(self) -> None:
        if not self.dataset:
            object.__setattr__(self, "dataset", self.obsid)

    @property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns of the grid that the images have."""
        ny, nx = self.mask.shape
        return slice(self.first_row, self.first_row + ny), slice(self.first_col, self.first_col + nx)

    def on_grid(self, values: NDArray, shape: tuple[int, int]) -> NDArray:
        """Values (..., ny, nx) of the pixels `place` on the whole grid of a shape, with 0 elsewhere."""
        image = np.zeros((*values.shape[:-2], *shape), values.dtype)
        image[..., *self.place] = values
        return image

    def trimmed(self) -> "BundleObservation":
        """The same observation with images that end at its outermost live pixels."""
        inner = bounding_box(self.mask > 0)

        def first_events(indptr: NDArray[np.int64]) -> NDArray[np.int64]:
            # Only live pixels have events, so that the order of the events remains.
            number = np.diff(indptr).reshape(self.mask.shape)[inner]
            return np.concatenate([[0], np.cumsum(number)]).astype(np.int64)

        return replace(
            self,
            first_row=self.first_row + inner[0].start,
            first_col=self.first_col + inner[1].start,
            mask=self.mask[inner].copy(),
            vignetting=self.vignetting[:, *inner].copy(),
            event_indptr=first_events(self.event_indptr),
            background_indptr=first_events(self.background_indptr),
        )

    @property
    def background_spectrum(self) -> NDArray[np.float64]:
        """Spectrum (n_channels,) of the whole background file [count]."""
        return np.bincount(self.background_channel, minlength=self.rmf.n_channels).astype(float)

    def mean_area(
        self, energy_min_keV: float, energy_max_keV: float, nH: float = 0.0, absorption: str = "phabs"
    ) -> float:
        """Mean effective area [cm^2] of the ARF over a band, for an absorbed photon spectrum E^-1.5.

        This spectrum approximates gas of 2 to 12 keV: the ratio of the areas of two kinds of chips, or of a
        clean and a contaminated chip, is correct within 10%, in most cases within 3%. Without absorption
        (nH [1e22 cm^-2]), the error would be 5% at nH = 0.3 and 13% at nH = 1.
        """
        low, high = (
            np.maximum(self.arf.energy_lo, energy_min_keV),
            np.minimum(self.arf.energy_hi, energy_max_keV),
        )
        middle = 0.5 * (self.arf.energy_lo + self.arf.energy_hi)
        edges = np.append(self.arf.energy_lo, self.arf.energy_hi[-1])
        photons = np.maximum(high - low, 0.0) * middle**-1.5 * transmission(edges, nH, absorption)
        return float((photons * self.arf.area).sum() / photons.sum())

    def relative_area(self, energy_keV: float) -> NDArray[np.float64]:
        """Effective area relative to the ARF at an energy [keV], on the pixels `place`; 0 on dead ones.

        It is linear between the energies of `vignetting_keV`, and constant beyond them.
        """
        place = float(np.interp(energy_keV, self.vignetting_keV, np.arange(len(self.vignetting_keV))))
        below = min(int(place), max(len(self.vignetting_keV) - 2, 0))
        above, share = min(below + 1, len(self.vignetting_keV) - 1), place - below
        area = (1.0 - share) * self.vignetting[below] + share * self.vignetting[above]
        return area * (self.mask > 0)


@dataclass(frozen=True, eq=False, repr=False)
class Bundle:
    """Images and observations of a cluster on one grid; for fields, see `file.ROOT_DATASETS`.

    ``fingerprint`` is the SHA-256 of all other fields; it is empty until `stamped` or `write_bundle` computes
    it. Arrays of a bundle must not be changed, since the exposure is computed only once.
    """

    name: str
    redshift: float
    nH: float
    abundance: float
    absorption: str
    abundance_table: str
    energy_min_keV: float
    energy_max_keV: float
    wcs_header: str
    pixel_scale_arcsec: float
    counts: NDArray[np.int32]
    background: NDArray[np.float32]
    background_variance: NDArray[np.float32]
    mask: NDArray[np.uint8]
    observations: tuple[BundleObservation, ...]
    left_out: str = ""
    fingerprint: str = ""

    def __repr__(self) -> str:
        ny, nx = self.mask.shape
        events = sum(len(observation.event_channel) for observation in self.observations)
        return (
            f"<Bundle {self.name}: {ny} x {nx} pixels of {self.pixel_scale_arcsec:g} arcsec, datasets "
            f"{', '.join(observation.dataset for observation in self.observations)}, {events} events, "
            f"{self.energy_min_keV:g}-{self.energy_max_keV:g} keV>"
        )

    @property
    def obsids(self) -> tuple[str, ...]:
        """ObsIDs without repetition; an ObsID may have several datasets."""
        return tuple(dict.fromkeys(observation.obsid for observation in self.observations))

    @property
    def wcs(self) -> "WCS":
        """Sky coordinates of the images."""
        from astropy.io import fits
        from astropy.wcs import WCS

        return WCS(fits.Header.fromstring(self.wcs_header))

    @property
    def pixel_area_arcmin2(self) -> float:
        """Area of a pixel [arcmin^2]."""
        return (self.pixel_scale_arcsec / 60.0) ** 2

    @property
    def exposure_energy_keV(self) -> float:
        """Energy of `exposure` [keV]: the geometric mean of the edges of the band.

        It is defined for every band, and differs by less than 20% from the energies of the Chandra Source
        Catalog (2.3 keV for 0.5-7 keV, 3.8 keV for 2-7 keV; Evans et al. 2010, ApJS 189, 37).
        """
        return float(np.sqrt(self.energy_min_keV * self.energy_max_keV))

    @cached_property
    def exposure(self) -> NDArray[np.float32]:
        """Exposure (ny, nx) [s] of all datasets, with vignetting at `exposure_energy_keV`; 0 on dead pixels.

        Each dataset is weighted by its mean area over the band, relative to the largest one: back-illuminated
        chips detect a third more than front-illuminated ones, which would appear as an edge in brightness.
        """
        total = np.zeros(self.mask.shape)
        seen = self.energy_min_keV, self.energy_max_keV, self.nH, self.absorption
        areas = [o.mean_area(*seen) for o in self.observations]
        for o, area in zip(self.observations, areas, strict=True):
            total[o.place] += area / max(areas) * o.exposure_s * o.relative_area(self.exposure_energy_keV)
        return np.where(self.mask > 0, total, 0.0).astype(np.float32)

    @property
    def brightness(self) -> NDArray[np.float32]:
        """(counts - background)/(exposure x pixel area) (ny, nx) [count s^-1 arcmin^-2]; NaN if dead."""
        result = np.full(self.mask.shape, np.nan, dtype=np.float32)
        live = self.exposure > 0
        signal = (self.counts - self.background)[live]
        result[live] = signal / (self.exposure[live] * self.pixel_area_arcmin2)
        return result


@compiled
def sort_by_pixel(
    pixel: NDArray[np.int64], channel: NDArray[np.int16], n_pixel: int
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """Sort events by pixel, as rows of a compressed sparse matrix with one row for each pixel.

    Parameters
    ----------
    pixel : (n,) integers, 0 <= pixel < n_pixel
    channel : (n,) int16
    n_pixel : int

    Returns
    -------
    indptr : (n_pixel + 1,) int64
        Events of pixel p are ``sorted[indptr[p]:indptr[p + 1]]``, in their original order.
    sorted : (n,) int16
    """
    indptr = np.zeros(n_pixel + 1, np.int64)
    for p in pixel:
        indptr[p + 1] += 1
    for p in range(n_pixel):
        indptr[p + 1] += indptr[p]
    free = indptr[:-1].copy()
    ordered = np.empty_like(channel)
    for k in range(len(pixel)):
        p = pixel[k]
        ordered[free[p]] = channel[k]
        free[p] += 1
    return indptr, ordered

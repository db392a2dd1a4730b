"""The images that preprocessing leaves beside the bundle, for people and for DS9."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle, BundleObservation
from pyxt_hpc.images import write_image
from pyxt_hpc.layout import Layout

EXPOSURE_KEV = 1.49
"""Energy of exposure maps."""
_PHOTON_INDEX = 1.5
"""Of the spectrum that areas of datasets are compared for: about that of a hot plasma."""


def counts_of(indptr: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Image (ny, nx) of the number of events in each pixel."""
    return np.diff(indptr).reshape(shape).astype(np.int32)


def exposure_map(observations: tuple[BundleObservation, ...]) -> NDArray[np.float64]:
    """Exposure (ny, nx) [s] of all datasets, vignetted, as if on the optical axis of the most sensitive one.

    The vignetting is that at 1.49 keV, near which most counts are, or at the end of the band that is nearest.
    A second of a dataset counts as its mean area over the band is to the largest one's: back-illuminated
    chips see a third more than front-illuminated ones, which would be an edge in the surface brightness.
    """
    area = [mean_area(o) if len(observations) > 1 else 1.0 for o in observations]
    return sum(
        (a / max(area) * o.exposure_s * o.mask * _area_at(o, EXPOSURE_KEV)
         for a, o in zip(area, observations, strict=True)),
        start=np.zeros(observations[0].mask.shape),
    )  # fmt: skip


def mean_area(observation: BundleObservation) -> float:
    """Mean effective area [cm^2] of the ARF over the band, for photons of E^-1.5."""
    arf, nodes = observation.arf, observation.vignetting_keV
    low, high = np.maximum(arf.energy_lo, nodes[0]), np.minimum(arf.energy_hi, nodes[-1])
    photons = np.maximum(high - low, 0.0) * (0.5 * (arf.energy_lo + arf.energy_hi)) ** -_PHOTON_INDEX
    return float((photons * arf.area).sum() / photons.sum())


def _area_at(observation: BundleObservation, energy_keV: float) -> NDArray[np.float64]:
    """Relative area (ny, nx) at an energy, linear between those of the bundle and not beyond them."""
    nodes = observation.vignetting_keV
    weights = [np.interp(energy_keV, nodes, one) for one in np.eye(len(nodes))]
    return np.tensordot(weights, observation.vignetting, axes=1)


def live_exposure(bundle: Bundle) -> NDArray[np.float64]:
    """Exposure x pixel area (ny, nx) [s arcmin^2] of all observations, 0 where dead."""
    exposure = exposure_map(bundle.observations) * (bundle.pixel_scale_arcsec / 60.0) ** 2
    return np.where(bundle.mask > 0, exposure, 0.0)


def surface_brightness(bundle: Bundle) -> NDArray[np.float32]:
    """(counts - background) / (exposure x pixel area) (ny, nx) [count s^-1 arcmin^-2], NaN on dead pixels."""
    exposure = live_exposure(bundle)
    live = exposure > 0
    result = np.full(bundle.mask.shape, np.nan, dtype=np.float32)
    result[live] = (bundle.counts - bundle.background)[live] / exposure[live]
    return result


def combined_images(layout: Layout, datasets: Sequence[str]) -> tuple[Path, ...]:
    """Every file that `write_images` makes."""
    of_observation = (layout.counts_image, layout.background_image, layout.mask_image)
    return (
        *(path(name) for name in datasets for path in of_observation),
        layout.combined_mask, layout.combined_counts, layout.combined_background, layout.combined_signal,
        layout.surface_brightness,
    )  # fmt: skip


def write_images(bundle: Bundle, layout: Layout) -> None:
    """Write the images of every observation, the combined ones and the surface brightness."""
    shape = bundle.mask.shape
    images: list[tuple[Path, NDArray, str, str]] = []
    for o in bundle.observations:
        counts, background = (counts_of(p, shape) for p in (o.event_indptr, o.background_indptr))
        images += [
            (layout.counts_image(o.dataset), counts, "count", f"counts of {o.dataset}"),
            (layout.background_image(o.dataset), background, "count", "blank-sky counts, not scaled"),
            (layout.mask_image(o.dataset), o.mask, "", "1: live, sources out"),
        ]
    signal = (bundle.counts - bundle.background).astype(np.float32)
    images += [
        (layout.combined_mask, bundle.mask, "", "1: live in any observation, sources out"),
        (layout.combined_counts, bundle.counts, "count", "counts of all observations"),
        (layout.combined_background, bundle.background, "count", "scaled background of all observations"),
        (layout.combined_signal, signal, "count", "counts less scaled background"),
        (
            layout.surface_brightness,
            surface_brightness(bundle),
            "count s-1 arcmin-2",
            "(counts - background)/(exposure x vignetting x pixel area)",
        ),
    ]
    band = f"band {bundle.energy_min_keV:g}-{bundle.energy_max_keV:g} keV"
    for path, values, unit, comment in images:
        write_image(
            path,
            values,
            bundle.wcs_header,
            unit=unit,
            comment=comment,
            bundle_fingerprint=bundle.fingerprint,
            history=[band, *([f"left out: {bundle.left_out}"] if bundle.left_out else [])],
        )

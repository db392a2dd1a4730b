"""The images that preprocessing writes beside the bundle, for inspection in DS9."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle, BundleObservation
from pyxt_hpc.bundle.header import observation_cards
from pyxt_hpc.images import write_image
from pyxt_hpc.layout import Layout


def counts_of(indptr: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Image (ny, nx) of the number of events in each pixel."""
    return np.diff(indptr).reshape(shape).astype(np.int32)


def combined_images(layout: Layout, datasets: Sequence[str]) -> tuple[Path, ...]:
    """Every file that `write_images` writes."""
    of_observation = (layout.counts_image, layout.background_image, layout.mask_image)
    return (
        *(path(name) for name in datasets for path in of_observation),
        layout.combined_mask, layout.combined_counts, layout.combined_background, layout.combined_signal,
        layout.surface_brightness,
    )  # fmt: skip


def write_images(bundle: Bundle, layout: Layout) -> None:
    """Write the images of every observation, the combined ones and the surface brightness."""
    band = f"band {bundle.energy_min_keV:g}-{bundle.energy_max_keV:g} keV"
    for path, values, unit, comment, of in _images(bundle, layout):
        write_image(
            path,
            values,
            bundle.wcs_header,
            unit=unit,
            comment=comment,
            bundle_fingerprint=bundle.fingerprint,
            settings=observation_cards(bundle if of is None else replace(bundle, observations=(of,))),
            history=[band, *([f"left out: {bundle.left_out}"] if bundle.left_out else [])],
        )


def _images(
    bundle: Bundle, layout: Layout
) -> Iterator[tuple[Path, NDArray, str, str, BundleObservation | None]]:
    """Path, values (ny, nx), unit, meaning and observation of every image, one in memory at a time."""
    shape = bundle.mask.shape
    for o in bundle.observations:
        counts, background = (counts_of(p, o.mask.shape) for p in (o.event_indptr, o.background_indptr))
        yield layout.counts_image(o.dataset), o.on_grid(counts, shape), "count", f"counts of {o.dataset}", o
        meaning = "blank-sky counts, not scaled"
        yield layout.background_image(o.dataset), o.on_grid(background, shape), "count", meaning, o
        yield layout.mask_image(o.dataset), o.on_grid(o.mask, shape), "", "1: live and outside sources", o
    signal = (bundle.counts - bundle.background).astype(np.float32)
    yield from (
        (layout.combined_mask, bundle.mask, "", "1: live in any observation and outside sources", None),
        (layout.combined_counts, bundle.counts, "count", "counts of all observations", None),
        (
            layout.combined_background,
            bundle.background,
            "count",
            "scaled background of all observations",
            None,
        ),
        (layout.combined_signal, signal, "count", "counts minus scaled background", None),
        (
            layout.surface_brightness,
            bundle.brightness,
            "count s-1 arcmin-2",
            "(counts - background)/(exposure x vignetting x pixel area), vignetting at "
            f"{bundle.exposure_energy_keV:.2f} keV",
            None,
        ),
    )

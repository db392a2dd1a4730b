"""Fixtures of the stages."""

from collections.abc import Callable

import numpy as np
import pytest

from pyxt_hpc.bundle import Bundle, BundleObservation


@pytest.fixture(scope="session")
def bundle_of() -> Callable[..., Bundle]:
    """Make a bundle of observations, with blank images: extraction and fits look at events only."""

    def make(*observations: BundleObservation) -> Bundle:
        shape = observations[0].mask.shape
        blank = np.zeros(shape, np.float32)
        return Bundle(
            name="A",
            redshift=0.1,
            nH=0.05,
            abundance=0.3,
            absorption="phabs",
            abundance_table="angr",
            energy_min_keV=0.7,
            energy_max_keV=8.0,
            wcs_header="",
            pixel_scale_arcsec=1.968,
            counts=blank.astype(np.int32),
            background=blank,
            background_variance=blank,
            mask=np.ones(shape, np.uint8),
            observations=observations,
        )

    return make

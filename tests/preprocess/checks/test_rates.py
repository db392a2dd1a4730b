"""Rates that are told of, and too few events to tell anything."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.preprocess.checks.rates import unusual_rates

GTI = {0: np.array([[0.0, 1e4]])}


def uniform(per_keV: int, hard: int, exposure_s: float | None) -> EventList:
    """Events spread evenly over chip 0, `per_keV` per keV in 0.5-7 keV and `hard` in 9.5-12 keV."""
    rng = np.random.default_rng(1)
    energy = np.concatenate([rng.uniform(500, 7000, int(6.5 * per_keV)), rng.uniform(9500, 12_000, hard)])
    n = len(energy)
    header = fits.Header({"FIRSTROW": 1, "NROWS": 1024})
    if exposure_s is not None:
        header["EXPOSURE"] = exposure_s
    return EventList(
        path=Path("evt2.fits"),
        header=header,
        wcs=None,
        x=np.zeros(n),
        y=np.zeros(n),
        energy_eV=energy.astype(np.float32),
        pi=np.ones(n, np.int16),
        ccd_id=np.zeros(n, np.int8),
        time=rng.uniform(0, 1e4, n),
        chipx=rng.integers(1, 1025, n).astype(np.int16),
        chipy=rng.integers(1, 1025, n).astype(np.int16),
    )


def found(events: EventList, background: EventList | None) -> list[str]:
    return list(unusual_rates(events, background, (0,), GTI))


@pytest.mark.parametrize(
    ("events", "background"),
    [
        (uniform(200, 1000, 1e4), uniform(200, 1000, 1e4)),  # as ACIS has them
        (uniform(10, 1000, 1e4), uniform(10, 1000, 1e4)),  # too few in the soft bands
        (uniform(200, 20, 1e4), uniform(200, 20, 1e4)),  # too few particles
        (uniform(200, 1000, 1e4), uniform(200, 1000, None)),  # no exposure to compare with
        (uniform(200, 1000, 1e4), uniform(200, 1000, -1e4)),
        (uniform(200, 1000, 1e4), None),
    ],
)
def test_nothing_to_say(events: EventList, background: EventList | None) -> None:
    assert found(events, background) == []


def test_bright_everywhere_and_particles_of_another_exposure() -> None:
    events = uniform(1500, 1000, 1e4)
    (faintest, hard) = found(events, uniform(200, 1000, 1e4))
    assert "the faintest tenth of the field has" in faintest
    assert "front-illuminated CCD" in faintest
    assert "times the blank sky's 2-7 keV counts" in hard
    (particles, *_) = found(events, uniform(200, 1000, 3e4))
    assert "a factor of 3.0" in particles

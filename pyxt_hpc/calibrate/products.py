"""A calibration as maps and tables."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from astropy.table import Column, Table
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pyxt_hpc.calibrate.calibration import CLASSES, Calibration
from pyxt_hpc.calibrate.driver import without_truth
from pyxt_hpc.calibrate.recovery import NOMINAL
from pyxt_hpc.calibrate.trust import MEANINGS, Trust
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.product import MapProduct, map_product
from pyxt_hpc.provenance import software

_SUMMARY = {
    "without_fit": "share of the spectra that gave no fit",
    "bias": "{bias}",
    "bias_error": "of the median",
    "coverage": f"share of the 68% intervals that hold the truth; {NOMINAL:.3f} is right",
    "coverage_error": "what chance does to it",
    "shift": "median of (fit - truth)/error, the error being that of the truth's side",
    "error_factor": "by what errors would have to be multiplied to hold the truth in 68.3% of the fits",
}
"""Meanings of the columns that every parameter has."""


TITLES = {
    "trust": "Trust in kT and its error",
    "calibration_bias": "Bias of kT in simulations",
    "calibration_coverage": "Coverage of kT less 68.3%",
}
"""Of the maps."""


def map_trust(regions: FittedRegions, calibration: Calibration) -> Iterator[MapProduct]:
    """Maps of trust, and of the bias and the coverage that it follows from."""
    suffix, place = calibration.setup.suffix, calibration.by_place
    around = f"{place.fits} simulated fits of the region and those around it"
    nearest = _nearest_simulated(regions, calibration)

    def painted(values: NDArray) -> NDArray:
        """Of all that have a fit the value of the nearest simulated region; NaN where there is no truth."""
        there = np.asarray(values, float)[nearest]
        return regions.paint(np.where(without_truth(regions.rows), np.nan, there))

    yield map_product(
        regions,
        "trust",
        TITLES["trust"],
        "",
        painted(calibration.trust),
        f"what is wrong with kT and its 68% interval, from {around}",
        suffix=suffix,
        integer=True,
        meanings={int(one): meaning for one, meaning in MEANINGS.items()},
    )
    yield map_product(
        regions,
        "calibration_bias",
        TITLES["calibration_bias"],
        "",
        painted(place.bias),
        f"median of fitted kT/simulated kT - 1 of {around}",
        suffix=suffix,
        diverging=True,
    )
    yield map_product(
        regions,
        "calibration_coverage",
        TITLES["calibration_coverage"],
        "",
        painted(place.coverage - NOMINAL),
        f"share of 68% intervals that hold the simulated kT, less {NOMINAL}, of {around}",
        suffix=suffix,
        diverging=True,
    )


def _nearest_simulated(regions: FittedRegions, calibration: Calibration) -> NDArray[np.int64]:
    """For each region that has a fit, the position of the simulated region nearest to it."""
    tree = cKDTree(np.column_stack([calibration.rows["row"], calibration.rows["col"]]))
    return np.asarray(tree.query(np.column_stack([regions.rows["row"], regions.rows["col"]]))[1])


def class_table(regions: FittedRegions, calibration: Calibration) -> Table:
    """Bias and coverage of all regions and of every class, a row each; in words in ``meta["sentences"]``."""
    summaries = calibration.summaries
    table = Table(meta=_description(regions, calibration))
    units = {name: unit for name, (unit, _) in CLASSES.items() if unit}
    table["variable"] = Column(
        [one.variable for one, _ in summaries],
        description=f"regions are sorted by it; {', '.join(f'{n} in {u}' for n, u in units.items())}",
    )
    table["low"] = Column([one.low for one, _ in summaries], description="from here on")
    table["high"] = Column([one.high for one, _ in summaries], description="below")
    table["regions"] = Column([int(one.chosen.sum()) for one, _ in summaries], description="simulated")
    table["fits"] = Column([found["kT"].fits for _, found in summaries], description="of their spectra")
    for name, recovery in calibration.recovered.items():
        bias = "median of fit/truth - 1" if recovery.relative else "median of fit - truth"
        for column, meaning in _SUMMARY.items():
            table[f"{name}_{column}"] = Column(
                [getattr(found[name], column) for _, found in summaries],
                description=f"{name}: {meaning.format(bias=bias)}",
            )
    return table


def region_table(regions: FittedRegions, calibration: Calibration) -> Table:
    """Every simulated region: where it is, what was simulated, what was found around it."""
    rows, place = calibration.rows, calibration.by_place
    table = Table(meta=_description(regions, calibration))
    for name in ("region", "row", "col"):
        table[name] = Column(rows[name], description="as in the results store")
    ra, dec = regions.bundle.wcs.all_pix2world(rows["col"], rows["row"], 0)
    table["ra"] = Column(ra, unit="deg", description="right ascension of the centre (ICRS)")
    table["dec"] = Column(dec, unit="deg", description="declination of the centre (ICRS)")
    table["kT"] = Column(calibration.truth["kT"], unit="keV", description="that was simulated")
    table["signal_to_noise"] = Column(calibration.signal_to_noise, description="of the region")
    around = f"of {place.fits} fits of the region and those around it"
    table["kT_bias"] = Column(place.bias, description=f"median of fit/truth - 1 {around}")
    table["kT_coverage"] = Column(place.coverage, description=f"share of intervals with the truth {around}")
    table["kT_shift"] = Column(place.shift, description=f"median of (fit - truth)/error {around}")
    table["kT_open"] = Column(place.open, description=f"share without a closed interval {around}")
    table["trust"] = Column([MEANINGS[Trust(one)] for one in calibration.trust.tolist()], dtype=str)
    return table


def _description(regions: FittedRegions, calibration: Calibration) -> dict[str, Any]:
    setup = calibration.setup
    return {
        "cluster": regions.config.name,
        "sentences": calibration.sentences(),
        "draws": setup.draws,
        "seed": setup.seed,
        "simulated_otherwise": {name: list(values) for name, values in setup.wrong.items()},
        "bundle": regions.bundle.fingerprint,
        "results": regions.fingerprint,
        "software": software(),
    }

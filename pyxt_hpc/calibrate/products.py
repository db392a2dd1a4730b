"""Maps and tables of a calibration."""

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
    "without_fit": "fraction of the spectra without a fit",
    "bias": "{bias}",
    "bias_error": "statistical error of the bias",
    "coverage": f"fraction of the 68% intervals that contain the truth; {NOMINAL:.3f} is correct",
    "coverage_error": "statistical error of the coverage",
    "shift": "median of (fit - truth)/error, with the error on the side of the truth",
    "error_factor": "factor for the errors with which 68.3% of the intervals would contain the truth",
}
"""Descriptions of the columns of every parameter."""


TITLES = {
    "trust": "Trust in kT and its error",
    "calibration_bias": "Bias of kT in simulations",
    "calibration_coverage": "Coverage of kT minus 68.3%",
}
"""Titles of the maps."""


def map_trust(regions: FittedRegions, calibration: Calibration) -> Iterator[MapProduct]:
    """Maps of trust, and of the bias and coverage on which it is based."""
    suffix, place = calibration.setup.suffix, calibration.by_place
    around = f"{place.fits} simulated fits of the region and those around it"
    nearest = _nearest_simulated(regions, calibration)

    def painted(values: NDArray) -> NDArray:
        """Map with the value of the nearest simulated region; NaN for regions that cannot be simulated."""
        there = np.asarray(values, float)[nearest]
        return regions.paint(np.where(without_truth(regions.rows), np.nan, there))

    yield map_product(
        regions,
        "trust",
        TITLES["trust"],
        "",
        painted(calibration.trust),
        f"problem of kT and its 68% interval, from {around}",
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
        f"fraction of 68% intervals that contain the simulated kT, minus {NOMINAL}, of {around}",
        suffix=suffix,
        diverging=True,
    )


def _nearest_simulated(regions: FittedRegions, calibration: Calibration) -> NDArray[np.int64]:
    """Position of the nearest simulated region, for each fitted region."""
    tree = cKDTree(np.column_stack([calibration.rows["row"], calibration.rows["col"]]))
    return np.asarray(tree.query(np.column_stack([regions.rows["row"], regions.rows["col"]]))[1])


def class_table(regions: FittedRegions, calibration: Calibration) -> Table:
    """Bias and coverage of all regions and of every class; ``meta["sentences"]`` explains the results."""
    summaries = calibration.summaries
    table = Table(meta=_description(regions, calibration))
    units = {name: unit for name, (unit, _) in CLASSES.items() if unit}
    table["variable"] = Column(
        [one.variable for one, _ in summaries],
        description=f"variable of the class; {', '.join(f'{n} in {u}' for n, u in units.items())}",
    )
    table["low"] = Column([one.low for one, _ in summaries], description="lower limit (inclusive)")
    table["high"] = Column([one.high for one, _ in summaries], description="upper limit (exclusive)")
    table["regions"] = Column(
        [int(one.chosen.sum()) for one, _ in summaries], description="number of simulated regions"
    )
    table["fits"] = Column([found["kT"].fits for _, found in summaries], description="number of fits")
    for name, recovery in calibration.recovered.items():
        bias = "median of fit/truth - 1" if recovery.relative else "median of fit - truth"
        for column, meaning in _SUMMARY.items():
            table[f"{name}_{column}"] = Column(
                [getattr(found[name], column) for _, found in summaries],
                description=f"{name}: {meaning.format(bias=bias)}",
            )
    return table


def region_table(regions: FittedRegions, calibration: Calibration) -> Table:
    """Every simulated region with its position, simulated values, and results around it."""
    rows, place = calibration.rows, calibration.by_place
    table = Table(meta=_description(regions, calibration))
    for name in ("region", "row", "col"):
        table[name] = Column(rows[name], description="as in the results store")
    ra, dec = regions.bundle.wcs.all_pix2world(rows["col"], rows["row"], 0)
    table["ra"] = Column(ra, unit="deg", description="right ascension of the centre (ICRS)")
    table["dec"] = Column(dec, unit="deg", description="declination of the centre (ICRS)")
    table["kT"] = Column(calibration.truth["kT"], unit="keV", description="simulated temperature")
    table["signal_to_noise"] = Column(calibration.signal_to_noise, description="S/N of the region")
    around = f"of {place.fits} fits of the region and those around it"
    table["kT_bias"] = Column(place.bias, description=f"median of fit/truth - 1 {around}")
    table["kT_coverage"] = Column(
        place.coverage, description=f"fraction of intervals with the truth {around}"
    )
    table["kT_shift"] = Column(place.shift, description=f"median of (fit - truth)/error {around}")
    table["kT_open"] = Column(place.open, description=f"fraction without a closed interval {around}")
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

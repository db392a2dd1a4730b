"""Table of the fits with units; status, flags and observations are given by names."""

import itertools
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Column, Table
from astropy.units import Unit

from pyxt_hpc.fit.flags import flag_names
from pyxt_hpc.provenance import software
from pyxt_hpc.store.reader import Results
from pyxt_hpc.store.rows import COLUMNS, Status, is_final, unpacked_observations

if TYPE_CHECKING:
    from astropy.wcs import WCS


def labelled(name: str, values: np.ndarray) -> Column:
    """Column of the store with its unit and meaning."""
    _, unit, meaning = COLUMNS[name]
    return Column(values, unit=Unit(unit, format="fits") if unit else None, description=meaning)


def dataset_names(used: np.ndarray, datasets: list[str]) -> list[str]:
    """Names of the datasets of each region, separated by commas, from the bits in ``observations``."""
    sets, index = np.unique(used, axis=0, return_inverse=True)
    taking_part = unpacked_observations(sets, len(datasets)).tolist()
    names = [",".join(itertools.compress(datasets, flags)) for flags in taking_part]
    return [names[i] for i in index.ravel().tolist()]


def fits_table(results: Results, datasets: list[str], wcs: "WCS | None" = None) -> Table:
    """Make a table with all columns for the finished regions.

    Parameters
    ----------
    datasets
        Names of the datasets, in the order of the bundle; empty if the bundle is not known.
    wcs
        World coordinates of the bundle, for sky positions of the regions; None: no sky positions.
    """
    finished = np.flatnonzero(is_final(results.status))
    rows = results.rows[finished]
    table = Table(
        meta={
            "settings": results.settings,
            "fingerprint": results.fingerprint,
            "written by": software(),
            "regions not yet finished": int(len(results.rows) - len(finished)),
        }
    )
    for name in COLUMNS:
        table[name] = labelled(name, rows[name])
    names = {status.value: status.name.lower() for status in Status}
    texts = {
        "flag_names": ([flag_names(value) for value in rows["flags"].tolist()], "names of the flags"),
        "status": (
            [names[value] for value in results.status[finished].tolist()],
            "done, bad or quarantined",
        ),
        "message": (
            [results.messages.get(i, "") for i in finished.tolist()],
            "reason, if the flags do not give it",
        ),
    }
    if datasets:
        texts["obs_id"] = (
            dataset_names(rows["observations"], datasets),
            "datasets that take part: ObsIDs, with -FI or -BI if there are chips of both kinds",
        )
    for name, (values, meaning) in texts.items():
        table[name] = Column(values, dtype=str, description=meaning)
    if wcs is not None:
        degrees = wcs.all_pix2world(rows["col"], rows["row"], 0)
        for name, values, meaning in zip(
            ("ra", "dec"), degrees, ("right ascension", "declination"), strict=True
        ):
            table[name] = Column(values, unit="deg", description=f"{meaning} of the centre (ICRS)")
    return table

"""The fits as tables for other programs: ClusterPyXT's three CSV files, or an ECSV table of every column."""

import csv
import itertools
from pathlib import Path

import numpy as np
from astropy.table import Column, Table
from astropy.units import Unit

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ForeignProduct
from pyxt_hpc.files.writing import replacing
from pyxt_hpc.fit.flags import DOUBTFUL
from pyxt_hpc.fit.inputs import read_cluster_bundle
from pyxt_hpc.layout import Layout
from pyxt_hpc.provenance import software
from pyxt_hpc.store.reader import BLOCK, Results, read_results
from pyxt_hpc.store.rows import COLUMNS, Status, is_final, unpacked_observations

CSV_COLUMNS = (
    "region",
    "T",
    "T_err_+",
    "T_err_-",
    "Norm",
    "Norm_err_+",
    "Norm_err_-",
    "reduced_x2",
    "obs_id",
)


def export_fits(config: ClusterConfig, form: str, output: Path | None = None) -> list[Path]:
    """Write the regions that are finished; the files written.

    Parameters
    ----------
    form
        ``csv``: ``best`` has what is done without a flag of `flags.DOUBTFUL`, ``worst`` the other finished
        regions, ``all`` both. Errors are offsets from the best fit, that below it is negative; a field is
        empty where there is no number. ``ecsv``: one table with units and meanings.
    output
        Folder; None is the cluster's ``acb``.

    Raises
    ------
    MissingInput, DamagedFile
        If bundle or results are absent or unreadable.
    ForeignProduct
        If the results were fitted from another bundle.
    """
    layout = Layout.of(config)
    bundle = read_cluster_bundle(config)
    obsids = [observation.dataset for observation in bundle.observations]
    results = read_results(layout.results)
    _check_bundle(results, bundle.fingerprint, layout.results)
    folder = output or layout.acb
    if form == "ecsv":
        path = folder / layout.fits_ecsv.name
        with replacing(path) as temporary:
            fits_table(results, obsids).write(temporary, format="ascii.ecsv")
        return [path]
    finished = is_final(results.status)
    best = (results.status == Status.DONE) & ((results.rows["flags"] & int(DOUBTFUL)) == 0)
    paths = []
    for kind, chosen in (("best", best), ("worst", finished & ~best), ("all", finished)):
        path = folder / layout.fits_csv(kind).name
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(CSV_COLUMNS)
            indices = np.flatnonzero(chosen)
            for start in range(0, len(indices), BLOCK):
                writer.writerows(_csv_rows(results.rows[indices[start : start + BLOCK]], obsids))
        paths.append(path)
    return paths


def _check_bundle(results: Results, fingerprint: str, path: Path) -> None:
    fitted = results.settings["bundle"]
    if fitted != fingerprint:
        raise ForeignProduct(
            f"{path}: fitted from bundle {fitted[:16]}, but the bundle now is {fingerprint[:16]}: run "
            "`pyxt-hpc fit-spectra` again"
        )


def _csv_rows(rows: np.ndarray, obsids: list[str]) -> "zip[tuple[object, ...]]":
    with np.errstate(divide="ignore", invalid="ignore"):
        reduced = rows["statistic"] / rows["dof"]
    kT, norm = rows["kT"], rows["norm"]
    numbers = (
        *(kT, rows["kT_hi"] - kT, rows["kT_lo"] - kT),
        *(norm, rows["norm_hi"] - norm, rows["norm_lo"] - norm),
        reduced,
    )
    texts = ([value if np.isfinite(value) else "" for value in column.tolist()] for column in numbers)
    return zip(rows["region"].tolist(), *texts, _obsid_texts(rows["observations"], obsids), strict=True)


def _obsid_texts(used: np.ndarray, obsids: list[str]) -> list[str]:
    """Observations of every region, comma-joined, from their bits."""
    sets, index = np.unique(used, axis=0, return_inverse=True)
    taking_part = unpacked_observations(sets, len(obsids)).tolist()
    names = [",".join(itertools.compress(obsids, flags)) for flags in taking_part]
    return [names[i] for i in index.ravel().tolist()]


def labelled(name: str, values: np.ndarray) -> Column:
    """Values of a column of the store with its unit and meaning."""
    _, unit, meaning = COLUMNS[name]
    return Column(values, unit=Unit(unit, format="fits") if unit else None, description=meaning)


def fits_table(results: Results, obsids: list[str]) -> Table:
    """All columns of the finished regions with units and meanings, their status and observations in words."""
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
        "obs_id": (
            _obsid_texts(rows["observations"], obsids),
            "observations (of both kinds of chips: datasets) that take part",
        ),
        "status": (
            [names[value] for value in results.status[finished].tolist()],
            "what became of the region",
        ),
        "message": (
            [results.messages.get(i, "") for i in finished.tolist()],
            "where the flags do not say why",
        ),
    }
    for name, (values, meaning) in texts.items():
        table[name] = Column(values, dtype=str, description=meaning)
    return table

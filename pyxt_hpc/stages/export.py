"""Export of the fits for other programs: ClusterPyXT's three CSV files, or an ECSV table of all columns."""

import csv
from pathlib import Path

import numpy as np

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.files.writing import replacing, write_ecsv
from pyxt_hpc.fit.flags import DOUBTFUL
from pyxt_hpc.fit.inputs import check_bundle, read_cluster_bundle, warn_of_changed_settings
from pyxt_hpc.fit.table import dataset_names, fits_table
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.reader import BLOCK, read_store
from pyxt_hpc.store.rows import Status, is_final

CSV_COLUMNS = (
    *("region", "T", "T_err_+", "T_err_-", "Norm", "Norm_err_+", "Norm_err_-", "reduced_x2", "obs_id"),
)
"""Columns as in ``initialize_fits_file`` of ClusterPyXT's cluster.py."""


def export_fits(config: ClusterConfig, form: str, output: Path | None = None) -> list[Path]:
    """Write the finished regions, and return the paths of the files.

    Parameters
    ----------
    form
        ``csv``: file ``best`` has the regions that are done without a flag of `flags.DOUBTFUL`, ``worst`` the
        other finished regions, and ``all`` both. Errors are offsets from the best fit, and the lower one is
        negative; a field without a number is empty. ``ecsv``: one table with units and descriptions.
    output
        Folder; None means the cluster's ``acb``.

    Raises
    ------
    MissingInput, DamagedFile
        If the bundle or results are missing or unreadable.
    ForeignProduct
        If the results were fitted from another bundle.
    """
    layout = Layout.of(config)
    bundle = read_cluster_bundle(config)
    obsids = [observation.dataset for observation in bundle.observations]
    results = read_store(layout.results)
    check_bundle(results, bundle, layout.results, config)
    warn_of_changed_settings(results, bundle, layout.results, config)
    folder = output or layout.acb
    if form == "ecsv":
        path = folder / layout.fits_ecsv.name
        write_ecsv(path, fits_table(results, obsids, bundle.wcs))
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
    return zip(rows["region"].tolist(), *texts, dataset_names(rows["observations"], obsids), strict=True)

"""Stage 7: maps of the fitted quantities, each region painted on its block of pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pyxt_hpc.config import RESOLUTION_STEP, ClusterConfig
from pyxt_hpc.errors import EmptySelection, ForeignProduct
from pyxt_hpc.images import write_image
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.paint import paint_blocks
from pyxt_hpc.stages.inputs import read_cluster_bundle, read_scale_map
from pyxt_hpc.store import Results, Status, is_final, read_results

NORM_UNIT = "1e-14 cm-5"


@dataclass(frozen=True)
class MapProduct:
    """One map: what it holds and how people call it.

    Parameters
    ----------
    path
        FITS file.
    title
        For people, such as ``Temperature``.
    unit
        FITS unit string, empty for a pure number.
    values
        (ny, nx) float32, NaN where there is nothing.
    """

    path: Path
    title: str
    unit: str
    values: np.ndarray


@dataclass(frozen=True)
class _Quantity:
    """One map: its file, how people call it and how it follows from the fits."""

    name: str
    title: str
    unit: str
    comment: str
    of: Callable[[np.ndarray], np.ndarray]


QUANTITIES = (
    _Quantity("temperature", "Temperature", "keV", "kT of the fitted APEC model", lambda r: r["kT"]),
    _Quantity(
        "temperature_error_plus",
        "Temperature error (+)",
        "keV",
        "upper end of the 68% interval of kT less kT",
        lambda r: r["kT_hi"] - r["kT"],
    ),
    _Quantity(
        "temperature_error_minus",
        "Temperature error (-)",
        "keV",
        "kT less the lower end of its 68% interval",
        lambda r: r["kT"] - r["kT_lo"],
    ),
    _Quantity(
        "temperature_fractional_error",
        "Fractional temperature error",
        "",
        "half the 68% interval of kT divided by kT",
        lambda r: 0.5 * (r["kT_hi"] - r["kT_lo"]) / r["kT"],
    ),
    _Quantity(
        "norm",
        "Norm of the circle",
        NORM_UNIT,
        "XSPEC apec norm of the whole circle: 1e-14/(4 pi (D_A (1+z))^2) int n_e n_H dV",
        lambda r: r["norm"],
    ),
    _Quantity(
        "norm_error",
        "Norm error",
        NORM_UNIT,
        "half the 68% interval of the norm",
        lambda r: 0.5 * (r["norm_hi"] - r["norm_lo"]),
    ),
    _Quantity(
        "counts", "Counts of the circle", "count", "counts in the circle and band", lambda r: r["counts"]
    ),
)


@dataclass(frozen=True)
class MapSummary:
    """What was painted, and what was not."""

    products: tuple[MapProduct, ...]
    painted: int
    bad: int
    pending: int


def make_temperature_maps(config: ClusterConfig, resolution: int | None = None) -> MapSummary:
    """Write the maps of kT, its errors, the norm, the counts and the scale map.

    Parameters
    ----------
    config
        The cluster.
    resolution
        The one that was fitted; None takes it from the results store.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct
        If bundle, scale map or results are absent, unreadable or do not belong together.
    EmptySelection
        If no region has been fitted: a blank map is never written.
    """
    layout = Layout.of(config)
    bundle = read_cluster_bundle(config)
    scale_map = read_scale_map(config, bundle)
    results = _results_of(bundle.fingerprint, config, layout)
    fitted = int(results.settings["resolution"])
    if resolution not in (None, fitted):
        raise ForeignProduct(
            f"{layout.results}: fitted at resolution {fitted}, not {resolution}: leave --resolution out, or "
            f"run `pyxt-hpc fit-spectra -c {config.path} --resolution {resolution}`"
        )
    done = results.rows[results.status == Status.DONE]
    finished = is_final(results.status)
    if not len(done):
        raise EmptySelection(
            f"{layout.results}: no region has been fitted ({np.sum(finished)} of "
            f"{len(results.rows)} are bad): run `pyxt-hpc fit-spectra -c {config.path}`"
        )
    history = [
        f"resolution {fitted}: a region every {RESOLUTION_STEP[fitted]} pixels",
        "circles overlap: neighbouring pixels are correlated",
        f"{len(done)} of {len(results.rows)} regions; results {results.fingerprint[:16]}",
        f"nH {bundle.nH:g}e22 cm^-2 ({bundle.absorption}), z {bundle.redshift:g}, "
        f"abundance {bundle.abundance:g} ({bundle.abundance_table}), "
        f"{bundle.energy_min_keV:g}-{bundle.energy_max_keV:g} keV, {results.settings['statistic']}",
    ]
    products = []
    for quantity in QUANTITIES:
        values = paint_blocks(
            done["row"], done["col"], quantity.of(done), scale_map > 0, RESOLUTION_STEP[fitted]
        )
        products.append(MapProduct(layout.map(quantity.name), quantity.title, quantity.unit, values))
    circles = np.where(scale_map > 0, scale_map, np.nan).astype(np.float32)
    products.append(MapProduct(layout.map("scale"), "Radius of the circle", "pixel", circles))
    comments = [q.comment for q in QUANTITIES] + ["radius of the smallest circle with the S/N target"]
    for product, comment in zip(products, comments, strict=True):
        write_image(
            product.path,
            product.values,
            bundle.wcs_header,
            unit=product.unit,
            comment=comment,
            bundle_fingerprint=bundle.fingerprint,
            history=history,
        )
    return MapSummary(
        products=tuple(products),
        painted=len(done),
        bad=int(np.sum(finished)) - len(done),
        pending=int(np.sum(~finished)),
    )


def _results_of(bundle_fingerprint: str, config: ClusterConfig, layout: Layout) -> Results:
    results = read_results(layout.results)
    if results.settings["bundle"] != bundle_fingerprint:
        raise ForeignProduct(
            f"{layout.results}: fitted from bundle {results.settings['bundle'][:16]}, but the bundle now is "
            f"{bundle_fingerprint[:16]}: run `pyxt-hpc fit-spectra -c {config.path}` again"
        )
    return results

"""The page: its content is collected, put into the template and written."""

import base64
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from pyxt_hpc.bundle.header import total_exposure_s
from pyxt_hpc.chandra.sky.position import position_text
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import PyxtError
from pyxt_hpc.files.quoting import several
from pyxt_hpc.files.times import utc
from pyxt_hpc.files.writing import check_regular, refuse_to_replace, replacing
from pyxt_hpc.fit.brightness.sky import sky_brightness
from pyxt_hpc.fit.cosmology import kpc_per_arcsec
from pyxt_hpc.fit.flags import DOUBTFUL, MEANINGS, FitFlag, flag_names
from pyxt_hpc.fit.inputs import changed_settings, config_of
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.fitted import FittedRegions, read_fitted_regions
from pyxt_hpc.maps.kinds.quantities import DIAGNOSTICS
from pyxt_hpc.maps.product import config_fingerprint
from pyxt_hpc.profiles.centre import find_frame
from pyxt_hpc.provenance import software
from pyxt_hpc.report.agreement import DatasetFit, disagreements, fit_alone
from pyxt_hpc.report.citations import citations
from pyxt_hpc.report.doubts import (
    Doubt,
    doubts_of_background,
    doubts_of_blanks,
    doubts_of_choices,
    doubts_of_fits,
    flag_shares,
)
from pyxt_hpc.report.figures.field import add_field, tangent
from pyxt_hpc.report.figures.grid import DEAD, REASONS, Grid, page_grid, reasons_of_bad
from pyxt_hpc.report.figures.maps import colour_tables, page_maps
from pyxt_hpc.report.figures.payload import PackedArrays
from pyxt_hpc.report.figures.pictures import page_pictures
from pyxt_hpc.report.figures.spectra import add_spectra, chosen_regions, worst_regions
from pyxt_hpc.report.html import TEMPLATES, rendered
from pyxt_hpc.report.records import StageRecords
from pyxt_hpc.report.tables import (
    made_by_others,
    observation_rows,
    setting_sections,
    versions,
)

MAX_BYTES = 10_000_000
"""Largest size of a page, so that it can be sent by mail."""

MAX_REGIONS = (60_000, 30_000, 10_000)
"""Numbers of regions; the first is used for which the page is small enough."""

_COLUMNS = (
    *("region", "row", "col", "radius", "area", "counts", "background_counts", "exposure", "live_fraction"),
    *("kT", "kT_lo", "kT_hi", "norm", "norm_lo", "norm_hi", "statistic", "dof", "goodness", "flags"),
)
"""Columns of the results store that the page has for every region."""


@dataclass(frozen=True)
class ReportSummary:
    """A written report: its file, size, and numbers of regions, spectra and doubts."""

    path: Path
    size: int
    regions: int
    of_regions: int
    spectra: int
    doubts: int


def write_report(config: ClusterConfig, path: Path | None = None) -> ReportSummary:
    """Write the report of a cluster as one HTML file that needs no other file.

    Parameters
    ----------
    config
        The cluster, whose regions must be fitted.
    path
        The file; None: the usual path.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct
        If bundle, scale map or results are missing, unreadable or do not belong together.
    EmptySelection
        If no region has been fitted.
    ConfigError
        If the file exists and is not an HTML page, or if the machine has too little memory for the maps.
    """
    layout = Layout.of(config)
    target = path or layout.report
    refuse_to_replace(target, (b"<!DOCTYPE html>", b"<!doctype html>"), "an HTML page")
    regions = read_fitted_regions(config)
    for max_regions in MAX_REGIONS:
        context, data, payload = _collect(config, regions, max_regions)
        page = report_html(context, data, payload).encode("utf-8")
        if len(page) <= MAX_BYTES:
            break
    else:
        raise PyxtError(f"{target}: not written: it has {len(page)} bytes: please report this defect")
    with replacing(target) as temporary:
        temporary.write_bytes(page)
    return ReportSummary(
        target,
        len(page),
        int(data["n_regions"]),
        len(regions.rows),
        int(data["n_spectra"]),
        len(context["doubts"]),
    )


def report_html(context: dict[str, Any], data: dict[str, Any], payload: str) -> str:
    """Text of the page.

    Everything in the context is escaped. Style, script and data are not, but none can end its element: style
    and script are our own, and the data have no ``<``.
    """
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    embedded = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    own = {
        "script": Markup(script),
        "script_digest": digest,
        "data": Markup(embedded),
        "payload": Markup(payload),
    }
    return rendered(TEMPLATES, "page", context | own)


def _collect(
    config: ClusterConfig, regions: FittedRegions, max_regions: int
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Context of the template, data of the JavaScript, and the payload."""
    layout, bundle, rows = regions.layout, regions.bundle, regions.rows
    payload = PackedArrays()
    grid = page_grid(regions, max_regions)
    maps = page_maps(regions, grid, payload)
    own = rows[grid.regions]
    columns = _add_columns(regions, own, payload)
    # The settings of the fits, since those of the configuration may have changed.
    fitted_with = replace(config_of(bundle, regions.settings), path=config.path)
    sky = sky_brightness(bundle)
    frame = find_frame(bundle, "peak", elliptical=False, sector=None)
    place = chosen_regions(own)
    spectra = add_spectra(regions, fitted_with, sky, grid.regions[place], place, payload)
    alone = fit_alone(bundle, fitted_with, sky, frame.row, frame.col)
    records = StageRecords.of(config)
    scale = kpc_per_arcsec(config)
    made = list(
        made_by_others(
            layout,
            {"bundle": bundle.fingerprint, "results": regions.fingerprint, "kpc_per_arcsec": scale},
        )
    )
    observations = list(observation_rows(layout, bundle, records, alone))
    image, extras = add_field(config, bundle, payload)
    field = asdict(image) | extras
    wanted = [one for part in made for one in part.pictures] + [o["flares"] for o in observations]
    data = {
        "name": config.name,
        "n_regions": len(own),
        "n_spectra": len(place),
        "grid": {
            "row": grid.first_row,
            "col": grid.first_col,
            "step": grid.step,
            "shape": list(grid.labels.shape),
            "labels": payload.add("labels", grid.labels, differences=True),
        },
        "reasons": {str(code): text for code, text in REASONS.items()},
        "columns": columns,
        "maps": [asdict(made_map) for made_map in maps],
        "field": field,
        "colours": colour_tables([*maps, image]),
        "spectra": spectra,
        "wcs": tangent(bundle.wcs),
        "pixel_arcsec": bundle.pixel_scale_arcsec,
        "kpc_per_arcsec": scale,
        "centre": {"row": frame.row, "col": frame.col},
        "flags": [
            {"bit": int(f), "name": f.name, "meaning": MEANINGS[f], "doubtful": bool(f & DOUBTFUL)}
            for f in FitFlag
        ],
        "shape": "bin" if regions.labels is not None else "circle",
    }
    data["arrays"] = payload.entries
    context = {
        "config": config,
        "bundle": bundle,
        "place": position_text(*(float(v) for v in bundle.wcs.all_pix2world(frame.col, frame.row, 0))),
        "summary": _summary(regions, grid, scale),
        "doubts": _doubts(regions, grid, records, alone, frame.row, frame.col, fitted_with),
        "flags": flag_shares(rows["flags"]),
        "n_fits": len(rows),
        "bad": reasons_of_bad(regions),
        "blank": _blank(grid),
        "worst": _worst(own),
        "observations": observations,
        "made": made,
        "pictures": page_pictures(wanted),
        "field": field,
        "settings": list(setting_sections(config)),
        "versions": list(versions(regions.settings)),
        "done": records.done,
        "fingerprints": {
            "configuration": config_fingerprint(config),
            "bundle": bundle.fingerprint,
            "results": regions.fingerprint,
        },
        "citations": list(
            citations(
                sherpa=check_regular(layout.engine_comparison.with_suffix(".ecsv")),
                ciao=records.ciao,
                mass=any(one.command == "mass-estimation" for one in made),
            )
        ),
        "software": software(),
        "written": utc(),
        "grid": grid,
        "n_spectra": len(place),
    }
    return context, data, payload.text()


def _add_columns(regions: FittedRegions, rows: np.ndarray, payload: PackedArrays) -> dict[str, str]:
    """Add the columns of all regions; return names of arrays by names of columns."""
    columns = {name: payload.add(f"row_{name}", rows[name]) for name in _COLUMNS}
    for name in ("abundance", "nH"):
        if regions.settings[f"{name}_bounds"] is not None:
            columns |= {
                f"{name}{end}": payload.add(f"row_{name}{end}", rows[f"{name}{end}"])
                for end in ("", "_lo", "_hi")
            }
    datasets = DIAGNOSTICS["observations"].of(rows)
    columns["datasets"] = payload.add("row_datasets", datasets.astype(np.uint8))
    return columns


def _summary(regions: FittedRegions, grid: Grid, scale: float) -> list[tuple[str, str, str]]:
    """Main numbers of the map, each with a title, a value and a remark."""
    rows, bundle, settings = regions.rows, regions.bundle, regions.settings
    low, middle, high = np.percentile(rows["kT"], [16, 50, 84])
    error = 0.5 * (rows["kT_hi"] - rows["kT_lo"]) / rows["kT"]
    doubtful = np.mean((rows["flags"] & int(DOUBTFUL)) != 0)
    net = rows["counts"] - rows["background_counts"]
    exposure, observations = total_exposure_s(bundle), several(len(bundle.obsids), "observation")
    kind = "bins, which share no photons" if regions.labels is not None else "overlapping circles"
    return [
        ("kT, median region", f"{middle:.2f} keV", f"68% of the regions: {low:.2f} to {high:.2f} keV"),
        ("error of kT, median", f"{np.nanmedian(error):.1%}", "half the 68% interval over kT"),
        (
            "regions fitted",
            f"{len(rows):,}",
            f"{kind}; {regions.bad} without a fit, {regions.pending} pending",
        ),
        (
            "counts of a region",
            f"{np.median(net):,.0f}",
            f"net, median; S/N asked for: {settings['signal_to_noise']:g}",
        ),
        ("doubtful fits", f"{doubtful:.1%}", "have a flag that is marked doubtful below"),
        ("exposure", f"{exposure / 1e3:.1f} ks", f"after cleaning, sum of {observations}"),
        ("redshift", f"{bundle.redshift:g}", f"1 arcsec is {scale:.3g} kpc" if scale else "no distance"),
        (
            "absorbing column",
            f"{bundle.nH:g} × 10²² cm⁻²",
            f"{bundle.absorption}; abundance {bundle.abundance:g} ({bundle.abundance_table}); "
            f"{bundle.energy_min_keV:g}-{bundle.energy_max_keV:g} keV, {settings['statistic']}",
        ),
    ]


def _doubts(
    regions: FittedRegions,
    grid: Grid,
    records: StageRecords,
    alone: list[DatasetFit],
    row: float,
    col: float,
    fitted_with: ClusterConfig,
) -> list[Doubt]:
    bundle, config = regions.bundle, regions.config
    found = list(doubts_of_choices(regions.settings, bundle, config.signal_to_noise_of))
    found += list(doubts_of_fits(regions.rows))
    found += [Doubt(True, "Observations disagree", text) for text in disagreements(alone)]
    found += list(doubts_of_background(bundle, row, col))
    found += list(doubts_of_blanks(grid.blank, REASONS, DEAD))
    if regions.pending:
        found.append(
            Doubt(
                True,
                "Not finished",
                f"{regions.pending} of {regions.total} regions are not fitted yet: run `pyxt-hpc fit-spectra "
                f"-c {config.path.name} --continue`, then this report again.",
            )
        )
    changed = changed_settings(config, fitted_with)
    if changed:
        found.append(
            Doubt(
                True,
                "Configuration changed since the fits",
                f"{', '.join(f'{name} was {then}, is now {now}' for name, (then, now) in changed.items())}. "
                "This report shows the fits.",
            )
        )
    if bundle.left_out:
        found.append(Doubt(False, "Left out", bundle.left_out))
    found += [Doubt(False, where, text) for where, text in records.findings()]
    return sorted(found, key=lambda one: not one.grave)


def _blank(grid: Grid) -> list[tuple[str, str]]:
    """Reasons and fractions of blank pixels."""
    return [
        (REASONS[code], f"{share:.1%} of {'all' if code in DEAD else 'the live'} pixels")
        for code, share in sorted(grid.blank.items(), reverse=True)
    ]


def _worst(rows: np.ndarray) -> list[dict[str, Any]]:
    """Texts of the table of the worst regions."""
    found = []
    for i in worst_regions(rows).tolist():
        row = rows[i]
        ends = [
            f"{row[f'kT_{end}']:.2f}" if np.isfinite(row[f"kT_{end}"]) else "open" for end in ("lo", "hi")
        ]
        found.append(
            {
                "region": int(row["region"]),
                "kT": f"{row['kT']:.2f} ({ends[0]} to {ends[1]})",
                "goodness": f"{row['goodness']:+.1f}" if np.isfinite(row["goodness"]) else "-",
                "net": f"{row['counts'] - row['background_counts']:.0f}",
                "flags": flag_names(int(row["flags"])) or "none",
            }
        )
    return found

"""Tables of the page: observations, settings, versions, and results of profiles, masses and shocks."""

import glob
import importlib.metadata
import math
import platform
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import SECTIONS, ClusterConfig
from pyxt_hpc.files.quoting import one_line
from pyxt_hpc.layout import Layout
from pyxt_hpc.pipeline.summaries import exposures
from pyxt_hpc.provenance import software
from pyxt_hpc.report.agreement import DatasetFit
from pyxt_hpc.report.figures.pictures import PictureFile
from pyxt_hpc.report.records import StageRecords

_SAME_SCALE = 1e-6
"""Largest relative difference of equal scales."""

_LIBRARIES = ("numpy", "scipy", "numba", "astropy", "regions", "h5py", "matplotlib", "emcee", "jinja2")


_OF_THIS_MACHINE = ("data_directory", "num_cpus", "parallel_processing", "last_step_completed")
"""Settings that matter only on this machine."""


def observation_rows(
    layout: Layout, bundle: Bundle, records: StageRecords, alone: Sequence[DatasetFit]
) -> Iterator[dict[str, Any]]:
    """A row of texts for each dataset, and the picture of its flares; ``-`` stands for unknown."""
    fits = {one.dataset: one for one in alone}
    for o in bundle.observations:
        stages = ("process-data", "remove-sources", "crop-data")
        first, cleaned, cropped = (records.facts(stage, o.obsid) for stage in stages)
        cropped = records.whole.get("crop-data", {}).get("observations", {}).get(o.dataset, cropped)
        error = cropped.get("background_scale_error")
        one = fits[o.dataset]
        yield {
            "dataset": o.dataset,
            "date": first.get("date") or "-",
            "array": f"ACIS-{first['array']} {''.join(map(str, first['chips']))}" if first else "-",
            "mode": first.get("datamode", "-"),
            "before_ks": exposures(first) if first else "-",
            "after_ks": exposures(cleaned) if cleaned else f"{o.exposure_s / 1e3:.1f}",
            "lost": f"{cleaned['flare_fraction']:.1%}" if cleaned else "-",
            "background_scale": f"{o.background_scale:.4f}" + (f" ± {error:.4f}" if error else ""),
            "alone": f"{one.kT:.2f} ± {one.kT_error:.2f}" if np.isfinite(one.kT) else "-",
            "flares": PictureFile(
                layout.light_curve_plot(o.obsid),
                f"Light curves of ObsID {o.obsid}",
                "count rates against time, with times that were kept and those cut as flares",
            ),
        }


def setting_sections(config: ClusterConfig) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Sections of the configuration with keys, values and meanings."""
    for section, keys in SECTIONS.items():
        rows = []
        for name, key in keys.items():
            if key.attribute in _OF_THIS_MACHINE:
                continue
            value = getattr(config, key.attribute)
            values = value if isinstance(value, tuple) else () if value is None else (value,)
            rows.append((name, ", ".join(map(str, values)), key.comment))
        yield section, rows


def versions(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Versions of the software of this page and of the fits."""
    yield "this page", software()
    yield "fits", str(settings.get("software", "-"))
    yield "Python", platform.python_version()
    for name in _LIBRARIES:
        yield name, importlib.metadata.version(name)


@dataclass(frozen=True)
class ProductSection:
    """Results of another command: title, command, table of texts, pictures, remark and sentences."""

    title: str
    command: str
    head: list[str]
    rows: list[list[str]]
    pictures: list[PictureFile]
    remark: str = ""
    sentences: tuple[str, ...] = ()


_PROFILE = (
    ("r_in_kpc", "from [kpc]", "{:.0f}"),
    ("r_out_kpc", "to [kpc]", "{:.0f}"),
    ("kT", "kT [keV]", "{:.2f}"),
    ("n_e", "n_e [cm⁻³]", "{:.3g}"),
    ("pressure", "pressure [keV cm⁻³]", "{:.3g}"),
    ("entropy", "entropy [keV cm²]", "{:.3g}"),
    ("cooling_time", "cooling time [Gyr]", "{:.3g}"),
)
_CALIBRATION = (
    ("variable", "regions by", "{}"),
    ("low", "from", "{:.3g}"),
    ("high", "to", "{:.3g}"),
    ("regions", "regions", "{}"),
    ("kT_bias", "bias of kT", "{:+.1%}"),
    ("kT_coverage", "coverage of 68% intervals", "{:.1%}"),
    ("kT_error_factor", "errors x", "{:.2f}"),
)
_SHOCKS = (
    ("ra", "RA [deg]", "{:.5f}"),
    ("dec", "Dec [deg]", "{:+.5f}"),
    ("length", "length [arcsec]", "{:.0f}"),
    ("mach", "Mach, from kT", "{:.2f}"),
    ("density_mach", "Mach, from density", "{:.2f}"),
    ("significance", "sigma", "{:.1f}"),
)


def read_product_table(path: Path) -> Table | str:
    """A table of another command, or a sentence why it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # problems show in missing columns
            return Table.read(path, format="ascii.ecsv")
    except (KeyError, ValueError, TypeError, OSError) as error:
        return f"{path.name} cannot be read ({one_line(str(error))}): make it again"


def table_in_words(
    table: Table, columns: Sequence[tuple[str, str, str]]
) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of some columns as texts, with the ends of intervals if the table has them."""
    there = [(name, title, form) for name, title, form in columns if name in table.colnames]
    rows = []
    for row in table:
        words = []
        for name, _, form in there:
            text = _word(row[name], form)
            if f"{name}_lo" in table.colnames:
                low, high = (_word(row[f"{name}_{end}"], form) for end in ("lo", "hi"))
                text += f" ({low} to {high})"
            words.append(text)
        rows.append(words)
    return [title for _, title, _ in there], rows


def _word(value: Any, form: str) -> str:
    if np.ma.is_masked(value):
        return "-"
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            return "open"
        text = form.format(value)
        return f"{float(text):g}" if "e+" in text else text  # 1150 instead of 1.15e+03
    return form.format(value)


def made_by_others(layout: Layout, made_from: Mapping[str, str | float]) -> Iterator[ProductSection]:
    """Existing profiles, masses and shocks, with a remark if they were made from other inputs.

    `made_from` has the present fingerprints of ``bundle`` and ``results``, and ``kpc_per_arcsec``.
    """
    for table in _tables(layout):
        if table[0].is_file():
            yield _made(*table, made_from)


def _tables(
    layout: Layout,
) -> Iterator[tuple[Path, str, str, Sequence[tuple[str, str, str]] | None, list[PictureFile]]]:
    """Tables that may exist: path, title, command, columns (None: all) and pictures."""
    folder = layout.main_output
    for path in sorted(folder.glob(f"{glob.escape(layout.name)}_profile*_shells.ecsv")):
        tag = path.name.removeprefix(f"{layout.name}_profile").removesuffix("_shells.ecsv")
        pictures = [
            PictureFile(
                layout.profile_picture(tag),
                "Gas",
                "temperature, density and derived quantities against radius",
            ),
            PictureFile(
                layout.profile_brightness_picture(tag), "Brightness", "surface brightness with its models"
            ),
        ]
        yield path, f"Radial profile{tag.replace('_', ' ')}", "profile-analysis", _PROFILE, pictures
    for path in sorted(folder.glob(f"{glob.escape(layout.name)}_mass*.ecsv")):
        if path.name.endswith("_profile.ecsv"):
            continue
        tag = path.name.removeprefix(f"{layout.name}_mass").removesuffix(".ecsv")
        pictures = [
            PictureFile(
                layout.mass_picture(tag), "Mass", "temperature, density, mass and gas fraction against radius"
            ),
            PictureFile(layout.mass_corner(tag), "Parameters", "samples of every pair of parameters"),
        ]
        yield path, f"Hydrostatic mass{tag.replace('_', ' ')}", "mass-estimation", None, pictures
    title = "Calibration: this map simulated and fitted again"
    pictures = [
        PictureFile(
            layout.calibration_picture(""), "Calibration", "bias and coverage of simulated fits by class"
        ),
        PictureFile(
            layout.picture(layout.map("trust")),
            "Trust",
            "map of places where kT and its error can be trusted",
        ),
    ]
    yield layout.calibration_table(""), title, "calibrate", _CALIBRATION, pictures
    pictures = [
        PictureFile(layout.picture(layout.map("mach")), "Mach number", "map of the Mach number"),
        PictureFile(layout.shock_histogram, "Mach numbers", "histogram of Mach numbers"),
    ]
    yield layout.shock_table, "Shock fronts, candidates", "find-shocks", _SHOCKS, pictures


def _remark(meta: Mapping[str, Any], made_from: Mapping[str, str | float]) -> str:
    """Remark if a table's header shows that it is out of date; else empty."""
    if "bundle" not in meta:
        return "Written by an earlier version, which did not note its inputs"
    words = {"kpc_per_arcsec": "cosmology"}
    other = [
        words.get(kind, kind) for kind, now in made_from.items() if not _is_same(meta.get(kind, now), now)
    ]
    return f"Made from other {' and '.join(other)} than the maps" if other else ""


def _is_same(made: object, now: str | float) -> bool:
    if isinstance(now, float):
        return isinstance(made, float) and math.isclose(made, now, rel_tol=_SAME_SCALE)
    return made == now


def _made(
    path: Path,
    title: str,
    command: str,
    columns: Sequence[tuple[str, str, str]] | None,
    pictures: list[PictureFile],
    made_from: Mapping[str, str | float],
) -> ProductSection:
    table = read_product_table(path)
    if isinstance(table, str):
        return ProductSection(title, command, [], [], pictures, table)
    if columns is None:
        columns = [
            (name, f"{name.replace('_', ' ')}{f' [{table[name].unit}]' if table[name].unit else ''}", "{:.4g}"
             if table[name].dtype.kind == "f" else "{}")
            for name in table.colnames
            if not name.endswith(("_lo", "_hi"))
        ]  # fmt: skip
    head, rows = table_in_words(table, columns)
    remark = _remark(table.meta, made_from)
    if remark:
        remark += f": run pyxt-hpc {command} again."
    if not rows:
        remark = remark or "The table has no rows."
    sentences = tuple(str(one) for one in table.meta.get("sentences", ()))
    return ProductSection(title, command, head, rows, pictures, remark, sentences)

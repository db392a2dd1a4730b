"""Summaries of the stages, as lines of text."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyxt_hpc.files.quoting import several, told_once

if TYPE_CHECKING:  # the command line imports this module, and must start quickly
    import numpy as np

    from pyxt_hpc.calibrate.calibration import Calibration
    from pyxt_hpc.fit.flags import FlagCounts
    from pyxt_hpc.maps.product import MapProduct
    from pyxt_hpc.stages.bins.label_bins import BinsSummary
    from pyxt_hpc.stages.bins.scale_map import BinningSummary
    from pyxt_hpc.stages.fitting import FittingSummary
    from pyxt_hpc.steps import Facts, StageResult

# Columns of the table of observations, for each stage.
OBSERVATION_COLUMNS: Mapping[str, Mapping[str, "Callable[[Facts], str]"]] = {
    "process-data": {
        "date": lambda f: f["date"] or "-",
        "array": lambda f: f"ACIS-{f['array']}",
        "CCDs": lambda f: "".join(map(str, f["chips"])),
        "left out": lambda f: "".join(map(str, f["chips_left_out"])) or "-",
        "mode": lambda f: f["datamode"],
        "exposure [ks]": lambda f: exposures(f),
        "events": lambda f: str(f["events"]),
        "of": lambda f: str(f["events_read"]),
        "background events": lambda f: str(f["background_events"]) if f["background_events"] else "a region",
        "aspect from": lambda f: f["aspect"],
    },
    "propose-regions": {},
    "remove-sources": {
        "exposure [ks]": lambda f: exposures(f),
        "lost to flares": lambda f: f"{f['flare_fraction']:.1%}",
        "9-12 keV [count/s]": lambda f: f"{f['quiet_rate']:.4f} +- {f['quiet_sigma']:.4f}",
        "all energies [count/s]": lambda f: f"{f['full_rate']:.3f}",
        "events in sources": lambda f: str(f["in_sources"]),
        "left": lambda f: str(f["events"]),
    },
    "generate-responses": {
        "CCDs": lambda f: "".join(map(str, f["chips"])),
        "ARF made": lambda f: (
            "near the axis"
            if f["off_axis_arcmin"] is None
            else f"{f['off_axis_arcmin']:.1f}' off axis ({f['place']})"
        ),
        "area at 1.5 keV [cm^2]": lambda f: f"{f['area_cm2']:.1f}",
        "elsewhere by": lambda f: f.get("area_of", "-"),
        "channels": lambda f: str(f["channels"]),
        "energies": lambda f: str(f["energies"]),
    },
    "crop-data": {
        "exposure [ks]": lambda f: exposures(f),
        "counts": lambda f: str(f["counts"]),
        "background scale": lambda f: (
            f"{f['background_scale']:.4f} +- {f['background_scale_error']:.4f}"
            if f["background_scale_error"]
            else "of a region"
        ),
        "live pixels": lambda f: str(f["live_pixels"]),
    },
}

_ERROR_MAP = re.compile("_((?:error_plus|error_minus|error|fractional_error))_(?:[a-z]+_)?map[.]fits$")

MAX_WITHOUT_CIRCLE = 0.5
"""Fraction of live pixels without a circle above which a warning says so."""

_WHY_UNBINNED = {
    "OUTSIDE": "the annuli, or the regions of the file, do not reach them",
    "NO_SIGNAL": "their bins do not reach the S/N",
}


def exposures(facts: "Facts") -> str:
    """Live time of the chips [ks]; a range if they differ by more than 1%."""
    least, most = (f(facts["exposure_of_chip_s"].values()) / 1e3 for f in (min, max))
    return f"{most:.1f}" if least > 0.99 * most else f"{least:.1f} to {most:.1f}"


def aligned_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table whose columns are aligned on the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "  ".join(f"{text:>{width}}" for text, width in zip(row, widths, strict=True))


def preprocessing_lines(stage: str, outcome: "StageResult") -> Iterator[str]:
    """A table of the observations, warnings, and the files written."""
    columns = OBSERVATION_COLUMNS[stage]
    if columns:
        yield from aligned_columns(
            ("ObsID", *columns),
            [
                (obsid, *(show(facts) for show in columns.values()))
                for obsid, facts in outcome.observations.items()
            ],
        )
    found = ((o, text) for o, facts in outcome.observations.items() for text in facts.get("findings", ()))
    yield from (f"warning: ObsID {obsid}: {finding}" for obsid, finding in told_once(found))
    yield from (f"warning: {finding}" for finding in outcome.facts.get("findings", ()))
    yield from outcome.facts.get("files", ())
    yield from (f"warning: left out: {why}" for why in outcome.facts.get("left_out", {}).values())
    if not outcome.made:
        yield f"{stage}: up to date (--force does it again)"


def binning_lines(
    summary: "BinningSummary", signal_to_noise: float, resolution: int | None = None
) -> Iterator[str]:
    """Number and radii of circles, and the number of regions at `resolution`, or at each resolution."""
    share = 1.0 - summary.circles / max(summary.live_pixels, 1)
    yield (
        f"{summary.circles} of {summary.live_pixels} live pixels reach S/N {signal_to_noise:g}; "
        f"median radius {summary.median_radius:.1f} pixels; {summary.seconds:.1f} s"
    )
    yield f"{share:.1%} of the live pixels have no circle: nothing will be fitted there"
    if share > MAX_WITHOUT_CIRCLE:
        yield (
            f"warning: more than {MAX_WITHOUT_CIRCLE:.0%} of the live pixels have no circle: lower "
            "signal_to_noise_threshold, or draw a smaller crop"
        )
    for n, regions in summary.regions.items():
        if resolution in (None, n):
            yield f"resolution {n}: {several(regions, 'region')} to fit"


def bins_lines(summary: "BinsSummary", signal_to_noise: float) -> Iterator[str]:
    """Number, area and S/N of bins, and the reasons why live pixels are in none."""
    low, middle, high = summary.signal_to_noise
    yield (
        f"{several(summary.bins, 'bin')} by the method {summary.method}; median area "
        f"{summary.median_area:.0f} pixels; {summary.seconds:.1f} s"
    )
    yield (
        f"S/N of 90% of the bins: {low:.1f} to {high:.1f}, median {middle:.1f}; signal_to_noise_threshold is "
        f"{signal_to_noise:g}"
    )
    for why, n in summary.unbinned.items():
        share = n / max(summary.live_pixels, 1)
        yield f"{share:.1%} of the live pixels are in no bin: {_WHY_UNBINNED[why.name]}"
    yield "bins share no photons: their errors are independent"
    yield f"{several(summary.bins, 'region')} to fit, at any resolution"


def fitting_lines(summary: "FittingSummary") -> Iterator[str]:
    """Numbers of regions fitted now and before, and of their flags."""
    if summary.resumed:
        were = "was" if summary.resumed == 1 else "were"
        yield f"{several(summary.resumed, 'region')} {were} fitted before"
    yield (
        f"{summary.done} of {summary.regions} regions fitted, {summary.bad} bad, "
        f"{summary.quarantined} in quarantine; "
        f"{summary.median_counts:.0f} counts a region (median); {summary.seconds:.1f} s"
    )
    yield from flag_lines(summary.flags)


def flag_lines(flags: "FlagCounts") -> Iterator[str]:
    """A line for each flag that fits have, and for each warning."""
    from pyxt_hpc.fit.flags import MEANINGS

    if flags.fits and not flags.flagged:
        yield f"none of {flags.fits} fits has a flag"
    for flag, n in flags.flagged.items():
        yield f"{flag.name}: {n} of {flags.fits} fits ({n / flags.fits:.1%}): {MEANINGS[flag]}"
    for sentence in flags.alarms():
        yield f"warning: {sentence}"


def fit_lines(names: Sequence[str], rows: "np.ndarray") -> Iterator[str]:
    """A line for each fit: values with the sides of their 68% intervals.

    Parameters
    ----------
    names
        Names of the fits.
    rows
        (n,) results, as `spectra.fit.FIT_DTYPE` or with more columns.
    """
    import numpy as np

    from pyxt_hpc.fit.flags import FitFlag
    from pyxt_hpc.fit.single.rounding import with_sides

    free = [
        name
        for name in ("kT", "norm", "abundance", "nH")
        if name in ("kT", "norm") or np.isfinite([rows[f"{name}_lo"], rows[f"{name}_hi"]]).any()
    ]
    units = {"kT": " [keV]", "norm": " [1e14 cm^-5]", "abundance": " [solar]", "nH": " [1e22 cm^-2]"}

    def value(row: "np.void", name: str) -> str:
        return with_sides(*(float(row[f"{name}{end}"]) for end in ("", "_lo", "_hi")))

    score = "goodness" in (rows.dtype.names or ())
    return aligned_columns(
        ("region", *(f"{name}{units.get(name, '')}" for name in free), "statistic", "dof",
         *(["goodness"] if score else []), "flags"),
        [
            (
                name,
                *(value(row, parameter) for parameter in free),
                f"{row['statistic']:.2f}",
                str(row["dof"]),
                *([f"{row['goodness']:+.2f}" if np.isfinite(row["goodness"]) else "-"] if score else []),
                ", ".join(flag.name or "" for flag in FitFlag(int(row["flags"]))) or "-",
            )
            for name, row in zip(names, rows, strict=True)
        ],
    )  # fmt: skip


def calibration_lines(calibration: "Calibration") -> Iterator[str]:
    """A table of kT's bias and coverage in classes of regions, and sentences on its meaning."""
    yield from aligned_columns(
        ("", "from", "to", "regions", "fits", "kT bias", "+-", "in errors", "coverage", "+-", "errors x"),
        [
            (
                one.variable,
                *(f"{end:g}" if abs(end) < float("inf") else "" for end in (one.low, one.high)),
                str(int(one.chosen.sum())),
                str(found["kT"].fits),
                f"{found['kT'].bias:+.2%}",
                f"{found['kT'].bias_error:.2%}",
                f"{found['kT'].shift:+.3f}",
                f"{found['kT'].coverage:.1%}",
                f"{found['kT'].coverage_error:.1%}",
                f"{found['kT'].error_factor:.2f}",
            )
            for one, found in calibration.summaries
        ],
    )
    yield ""
    yield from calibration.sentences()


def map_lines(products: Iterable[tuple["MapProduct", Sequence[Path]]]) -> Iterator[str]:
    """A line for each map: its files, and the error maps that follow it."""
    line = before = ""
    errors: list[str] = []
    for product, others in products:
        name = product.path.name
        found = _ERROR_MAP.search(name)
        if found and before == f"{name[: found.start()]}{name[found.end(1) :]}":
            errors.append(found[1])
            continue
        before = name
        if line:
            yield _with_error_maps(errors, line)
        forms = ", ".join(path.suffix for path in others)
        line = f"{product.path}, {forms}: {product.title}{product.unit and f' [{product.unit}]'}"
        errors = []
    if line:
        yield _with_error_maps(errors, line)


def _with_error_maps(errors: Sequence[str], line: str) -> str:
    return f"{line}; also {', '.join(errors)}" if errors else line

"""Maps of the results of the fits, and of the surface brightness and circles of the regions."""

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyxt_hpc.arrays.thin import thin
from pyxt_hpc.fit.flags import POOR_FIT_SIGMA
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.kinds.blanks import Blank, flag_cards, flag_image, names_of
from pyxt_hpc.maps.painting.paint import Measured
from pyxt_hpc.maps.product import MapProduct, map_product
from pyxt_hpc.store.rows import NORM_UNIT

SUFFIX = {"block": "", "interpolate": "_interpolated", "average": "_average"}
"""Suffixes of the file names of maps, by the mode of painting."""

_HOW = {
    "block": "of each block's region",
    "interpolate": "interpolated between regions, weighted by the area that circles share",
    "average": "error-weighted mean of all circles that contain the pixel; errors allow for their overlap",
}


@dataclass(frozen=True)
class Quantity:
    """A quantity with errors, for maps.

    Parameters
    ----------
    name
        Name in file names.
    title
        Title of pictures.
    unit
        FITS unit string.
    comment
        Meaning, with the formula.
    logarithmic
        Pictures have a logarithmic colour scale.
    relative
        Whether errors grow with the value, as for `paint.paint_measured`.
    """

    name: str
    title: str
    unit: str
    comment: str
    logarithmic: bool = False
    relative: bool = True


TEMPERATURE = Quantity("temperature", "Temperature", "keV", "kT of the fitted APEC model", logarithmic=True)
NORM = Quantity(
    "norm",
    "Norm of the region",
    NORM_UNIT,
    "XSPEC apec norm of the whole region: 1e-14/(4 pi (D_A (1+z))^2) int n_e n_H dV",
    logarithmic=True,
)
NORM_PER_AREA = Quantity(
    "norm_per_area",
    "Norm per area",
    f"{NORM_UNIT} arcmin-2",
    "XSPEC apec norm of the region divided by its area",
    logarithmic=True,
)
ABUNDANCE = Quantity("abundance", "Abundance", "", "metals of the APEC model [solar]", relative=False)
COLUMN = Quantity(
    "column_density", "Column density", "10**22 cm-2", "absorbing column, fitted", relative=False
)

BRIGHTNESS = Quantity(
    "surface_brightness",
    "Surface brightness",
    "count s-1 arcmin-2",
    "exposure-corrected, background-subtracted, sources out",
    logarithmic=True,
)


@dataclass(frozen=True)
class _Diagnostic:
    """A quantity of a fit without errors."""

    name: str
    title: str
    unit: str
    comment: str
    of: Callable[[np.ndarray], np.ndarray]
    integer: bool = False
    diverging: bool = False
    marks: tuple[float, ...] = ()


def _per_dof(rows: np.ndarray) -> np.ndarray:
    return np.where(rows["dof"] > 0, rows["statistic"] / np.maximum(rows["dof"], 1), np.nan)


DIAGNOSTICS = {
    d.name: d
    for d in (
        _Diagnostic(
            "counts", "Counts of the region", "count", "counts in the region and band", lambda r: r["counts"]
        ),
        _Diagnostic(
            "background_fraction",
            "Background fraction",
            "",
            "expected background among the counts of the region, divided by these",
            lambda r: r["background_counts"] / np.where(r["counts"] > 0, r["counts"], np.nan),
        ),
        _Diagnostic(
            "statistic", "Statistic per degree of freedom", "", "statistic/(bins - free parameters)", _per_dof
        ),
        _Diagnostic(
            "goodness",
            "Goodness of fit",
            "",
            "statistic less its expectation, in standard deviations (Kaastra 2017, A&A 605, A51)",
            lambda r: r["goodness"],
            diverging=True,
            marks=(POOR_FIT_SIGMA,),
        ),
        _Diagnostic(
            "observations",
            "Datasets in the fit",
            "",
            "number of observations that take part; one with front- and back-illuminated chips counts twice",
            lambda r: np.unpackbits(r["observations"], axis=1).sum(axis=1),
            integer=True,
        ),
        _Diagnostic(
            "exposure",
            "Exposure of the region",
            "s",
            "sum over observations of live time x share of the region's brightness that each saw",
            lambda r: r["exposure"],
        ),
        _Diagnostic(
            "live_fraction",
            "Live fraction of the region",
            "",
            "share of the region's brightness that the observations taking part saw, mean by their live time",
            lambda r: r["live_fraction"],
        ),
        _Diagnostic(
            "flags",
            "Flags of the fit",
            "",
            "bits, explained by the keywords FLAG<bit>; 0: a fit without remark, from bit 24 on: no fit",
            lambda r: r["flags"],
            integer=True,
        ),
    )
}


def parameters(regions: FittedRegions) -> list[tuple[Quantity, Measured]]:
    """Fitted parameters in the units of their quantities, without frozen ones."""
    found = [
        (TEMPERATURE, regions.parameter("kT")),
        (NORM, regions.parameter("norm")),
        (NORM_PER_AREA, regions.parameter("norm", 1.0 / regions.area_arcmin2)),
    ]
    if regions.settings["abundance_bounds"] is not None:
        found.append((ABUNDANCE, regions.parameter("abundance")))
    if regions.settings["nH_bounds"] is not None:
        found.append((COLUMN, regions.parameter("nH")))
    return found


def map_measured(
    regions: FittedRegions, quantity: Quantity, measured: Measured, mode: str
) -> Iterator[MapProduct]:
    """Maps of a quantity: value, upper and lower error, half the interval, and half the interval/value."""
    painted = regions.paint_measured(mode, measured, relative=quantity.relative)
    how = _HOW[mode] if regions.labels is None else "of each pixel's bin"
    first, *errors = error_maps(regions, quantity, painted, how, mode)
    yield replace(first, of_regions=measured.value) if mode == "block" else first
    yield from errors


def error_maps(
    regions: FittedRegions, quantity: Quantity, painted: Measured, how: str, mode: str = "block"
) -> Iterator[MapProduct]:
    """Maps of a painted quantity and its errors.

    Upper and lower error have no maps of their own if they are the same array. Error maps without any value
    are omitted.

    Parameters
    ----------
    painted
        Values and errors (ny, nx).
    how
        Method of painting, for the header.
    mode
        One of `paint.MODES`, for the file names.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction = painted.error / np.abs(painted.value)
    fraction[~np.isfinite(fraction)] = np.nan
    name, title, comment = quantity.name, quantity.title, quantity.comment
    lower = title.lower() if title[1:2].islower() else title
    unit = quantity.unit
    parts = (
        ("", title, unit, how, painted.value),
        ("_error_plus", f"{title} error (+)", unit, "upper end of the 68% interval - value", painted.plus),
        ("_error_minus", f"{title} error (-)", unit, "value - lower end of the 68% interval", painted.minus),
        ("_error", f"{title} error", unit, "half the 68% interval", painted.error),
        ("_fractional_error", f"Fractional error of {lower}", "", "half the 68% interval/value", fraction),
    )  # fmt: skip
    limits = {
        "": value_limits([painted.value], regions.radius),
        "_fractional_error": value_limits([fraction], regions.radius),
    }
    # The error maps have the same colour scale, so that they can be compared.
    of_errors = value_limits([painted.minus, painted.plus], regions.radius)
    limits |= dict.fromkeys(("_error_plus", "_error_minus", "_error"), of_errors)
    for suffix, part_title, part_unit, text, values in parts:
        if suffix and not np.isfinite(values).any():
            continue  # every interval is open
        if painted.minus is painted.plus and suffix in ("_error_plus", "_error_minus"):
            continue
        yield map_product(
            regions,
            f"{name}{suffix}",
            part_title,
            part_unit,
            values.astype(np.float32, copy=False),
            f"{comment}; {text}",
            suffix=SUFFIX[mode],
            logarithmic=quantity.logarithmic,
            limits=limits[suffix],
        )


def value_limits(images: Sequence[np.ndarray], radius: np.ndarray) -> tuple[float, float] | None:
    """Limits of the colour scale of images, between which 99% of the pixels and 99% of the regions lie.

    Without the condition on regions, the core could be of one colour, since it has many regions but few
    pixels. ``radius`` (ny, nx) is that of every pixel's region; a pixel counts as 1/radius^2 of a region.
    None if there is no value.
    """
    value = np.concatenate([thin(image).ravel() for image in images])
    own = np.tile(thin(radius).ravel(), len(images))
    seen = np.isfinite(value) & (own > 0)
    if not seen.any():
        return None
    value, own = value[seen], own[seen].astype(float)
    order = np.argsort(value)
    value, share = value[order], np.cumsum(own[order] ** -2.0)
    of_pixels = np.percentile(value, [0.5, 99.5])
    at = np.searchsorted(share, np.array([0.005, 0.995]) * share[-1])
    of_regions = value[np.minimum(at, len(value) - 1)]
    return float(min(of_pixels[0], of_regions[0])), float(max(of_pixels[1], of_regions[1]))


def map_diagnostics(regions: FittedRegions, names: Container[str] = DIAGNOSTICS) -> Iterator[MapProduct]:
    """Maps of the `DIAGNOSTICS` of the fits, painted on blocks or bins."""
    rows = regions.rows
    for diagnostic in DIAGNOSTICS.values():
        if diagnostic.name not in names:
            continue
        if diagnostic.name == "flags":
            yield _map_flags(regions, diagnostic)
            continue
        values = diagnostic.of(rows)
        if not np.isfinite(values).any():
            continue  # such as the goodness of a statistic without an expectation
        yield map_product(
            regions,
            diagnostic.name,
            diagnostic.title,
            diagnostic.unit,
            regions.paint(values),
            diagnostic.comment,
            integer=diagnostic.integer,
            diverging=diagnostic.diverging,
            marks=diagnostic.marks,
        )


def _map_flags(regions: FittedRegions, flags: _Diagnostic) -> MapProduct:
    values = flag_image(regions)
    return map_product(
        regions,
        flags.name,
        flags.title,
        flags.unit,
        values,
        flags.comment,
        integer=True,
        meanings={int(value): names_of(int(value)) for value in np.unique(values)},
        shown=values != Blank.OUTSIDE,
        cards=flag_cards(),
    )


def map_brightness(regions: FittedRegions) -> Iterator[MapProduct]:
    """Maps of the surface brightness, averaged over circles or bins, and of its error."""
    own = "circle" if regions.labels is None else "bin"
    how = f"(counts - background)/(exposure x area), mean of each pixel's own {own}"
    yield from error_maps(regions, BRIGHTNESS, regions.brightness, how)


CIRCLES = ("scale", "signal_to_noise")
"""Names of the maps of stage 5."""


def map_circles(regions: FittedRegions, names: Container[str] = CIRCLES) -> Iterator[MapProduct]:
    """Maps of the radius and the S/N of every pixel's circle or bin, from stage 5."""
    valid, circles = regions.radius > 0, regions.labels is None
    own = "circle" if circles else "bin"
    what = "the smallest circle with the S/N target" if circles else "the circle with its area"
    if "scale" in names:
        yield map_product(
            regions,
            "scale",
            "Radius of the circle" if circles else "Equivalent radius of the bin",
            "pixel",
            np.where(valid, regions.radius, np.nan).astype(np.float32),
            f"radius of {what}",
            logarithmic=True,
        )
    if "signal_to_noise" in names:
        yield map_product(
            regions,
            "signal_to_noise",
            f"S/N of the {own}",
            "",
            np.where(valid, regions.signal_to_noise, np.nan).astype(np.float32),
            f"(counts - background)/sqrt(counts + background) in the pixel's {own}",
        )

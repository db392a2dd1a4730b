"""Search for shocks in a cluster, with maps of the jumps and a table of candidates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.brightness.beta_model import fit_beta_model
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.product import MapProduct, map_product, write_maps
from pyxt_hpc.maps.shocks.ellipse import azimuthal_median, most_even_ellipse
from pyxt_hpc.maps.shocks.fronts import (
    DENSITY_JUMP,
    DENSITY_SIGMA,
    LEVER,
    N_ANGLES,
    TEMPERATURE_SIGMA,
    Front,
    Jumps,
    find_fronts,
    find_jumps,
    mach_of_temperature,
)
from pyxt_hpc.provenance import software


@dataclass(frozen=True, eq=False)
class ShockSearch:
    """Result of the search: jumps at every pixel, and candidate fronts, the most significant first."""

    jumps: Jumps
    fronts: Sequence[Front]


def search_shocks(regions: FittedRegions) -> ShockSearch:
    """Search for fronts at which brightness and temperature jump in the same direction.

    Jumps are relative to a cluster without edges: the medians of brightness and kT along the ellipses on
    which the brightness varies least. A front on more than half of an ellipse is part of it and not found.

    Raises
    ------
    EmptySelection
        If there is too little emission for a beta model, which gives the centre.
    ConfigError
        If the regions are bins.
    """
    measured = regions.parameter("kT")
    if regions.labels is not None:
        raise ConfigError(
            "shocks are sought between the circles on both sides of every pixel, but the regions are bins: "
            "set [binning] method = circles, make the circles and fit them"
        )
    kT = regions.paint_measured("block", measured, relative=True)
    brightness = regions.brightness
    model = fit_beta_model(regions.bundle, brightness.value, otherwise="without one, shocks are not sought")
    distance = most_even_ellipse(brightness.value, model.row, model.col).radius(regions.radius.shape)
    smooth = azimuthal_median(brightness.value, distance)
    smooth_kT = azimuthal_median(kT.value, distance)
    jumps = find_jumps(kT, brightness, smooth_kT, smooth, regions.radius)
    return ShockSearch(jumps, find_fronts(jumps, regions.radius))


CONVENTION = "position angle of the bright side: 0 north, 90 east"
"""Convention of directions, as text for pictures."""


def make_shock_maps(regions: FittedRegions, search: ShockSearch) -> Iterator[MapProduct]:
    """Write, then yield, the maps of Mach number, its error, significance, direction and density jump.

    Pictures show the candidate fronts as lines, and the direction only where the density jump is significant,
    since it is random elsewhere.
    """
    jumps = search.jumps
    x, error = jumps.temperature, jumps.temperature_error
    low, mach, high = (mach_of_temperature(np.exp(x + s * error)) for s in (-1, 0, 1))
    position_angle = (np.degrees(jumps.angle) - 90.0) % 360.0
    how = f"between opposite circles {LEVER:g} radii away, best of {N_ANGLES} directions by brightness"
    with np.errstate(invalid="ignore"):
        on_edge = jumps.density > np.maximum(DENSITY_SIGMA * jumps.density_error, np.log(DENSITY_JUMP))
    curves = tuple(front.line for front in search.fronts)
    highest = float(np.nanmax(mach)) if np.isfinite(mach).any() else 2.0

    def product(
        name: str, title: str, unit: str, values: np.ndarray, comment: str, note: str = "", **how: Any
    ) -> MapProduct:
        note = "\n".join(filter(None, (note, "cyan lines: candidate shock fronts" if curves else "")))
        return map_product(
            regions, name, title, unit, values.astype(np.float32), comment, curves=curves, note=note, **how
        )

    yield from write_maps(
        regions,
        (
            product(
                "mach",
                "Mach number",
                "",
                mach,
                f"from the jump of kT to the bright side; 1: no rise; {how}",
                limits=(1.0, max(highest, 1.1)),  # up to the highest, which may be a shock
            ),
            product("mach_error", "Mach number error", "", 0.5 * (high - low), "half the 68% interval"),
            product(
                "temperature_jump_significance",
                "Temperature jump in sigma",
                "",
                x / error,
                "ln(kT bright/kT faint)/error",
                diverging=True,
                marks=(TEMPERATURE_SIGMA,),
            ),
            product(
                "shock_angle",
                "Direction of the jump",
                "deg",
                position_angle,
                "position angle of the bright side, from north (0) through east (90); pictures show it where "
                f"the density jump exceeds {DENSITY_SIGMA:g} sigma and a factor of {DENSITY_JUMP:g}",
                period=360.0,
                shown=on_edge,
                note=f"{CONVENTION}; where the density jump is significant",
            ),
            product(
                "density_jump",
                "Density jump",
                "",
                np.exp(jumps.density),
                "ratio across the edge, over that of the medians along ellipses",
                marks=(DENSITY_JUMP,),
            ),
        ),
    )


def shock_table(regions: FittedRegions, fronts: Sequence[Front]) -> Table:
    """Table of candidates with position, length, direction and Mach numbers; it can have no rows."""
    wcs = regions.bundle.wcs
    ra, dec = wcs.wcs_pix2world([f.col for f in fronts], [f.row for f in fronts], 0) if fronts else ([], [])
    scale = regions.bundle.pixel_scale_arcsec
    columns = {
        "ra": (ra, "deg", "middle of the front"),
        "dec": (dec, "deg", "middle of the front"),
        "length": ([f.length * scale for f in fronts], "arcsec", "along the front"),
        "position_angle": (
            [(np.degrees(f.angle) - 90.0) % 360.0 for f in fronts],
            "deg",
            "towards the bright side, north through east; NaN for a closed front",
        ),
        "mach": ([f.mach for f in fronts], "", "from the temperature jump, gamma = 5/3"),
        "mach_lo": ([f.mach_lo for f in fronts], "", "lower end of the 68% interval"),
        "mach_hi": ([f.mach_hi for f in fronts], "", "upper end of the 68% interval"),
        "density_mach": ([f.density_mach for f in fronts], "", "from the density jump"),
        "significance": ([f.significance for f in fronts], "", "of the temperature jump, in sigma"),
    }
    table = Table(
        {name: np.array(values, float) for name, (values, _, _) in columns.items()},
        meta={
            "cluster": regions.config.name,
            "bundle": regions.bundle.fingerprint,
            "results": regions.fingerprint,
            "software": software(),
        },
    )
    for name, (_, unit, meaning) in columns.items():
        table[name].unit, table[name].description = unit or None, meaning
    return table

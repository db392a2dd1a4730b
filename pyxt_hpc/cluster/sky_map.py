"""Sky map of one quantity: values, errors, unit and coordinates."""

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.units import Quantity, Unit
from astropy.wcs import WCS

from pyxt_hpc.cluster.results import FitResults
from pyxt_hpc.config.cluster import RESOLUTION_STEP, ClusterConfig
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.inputs import config_of, with_settings
from pyxt_hpc.fit.region_map import RegionMap
from pyxt_hpc.maps.catalogue import ALIASES, map_named
from pyxt_hpc.maps.fitted import FittedRegions, fitted_regions
from pyxt_hpc.maps.kinds.quantities import CIRCLES, SUFFIX
from pyxt_hpc.maps.painting.paint import paint_blocks
from pyxt_hpc.maps.product import MapProduct, write_map
from pyxt_hpc.stages.bins.scale_map import signal_to_noise_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OF_MAPS = ("maps",)
"""Sections of the configuration with the settings of maps, for `with_settings`."""

_ENDINGS = (".fits", ".fit", ".fts", ".fits.gz")


@dataclass(frozen=True, eq=False, repr=False)
class SkyMap:
    """A map, as ``pyxt-hpc make-maps`` writes it.

    Attributes
    ----------
    name : str
        Name, such as ``temperature``.
    values : astropy.units.Quantity
        (ny, nx) values; NaN for pixels without a value.
    error_minus, error_plus : astropy.units.Quantity or None
        (ny, nx) distances to the lower and upper end of the 68% interval; NaN at open ends; None for maps
        without errors.
    wcs : astropy.wcs.WCS
        Sky coordinates of the pixels.
    """

    name: str
    values: Quantity
    error_minus: Quantity | None
    error_plus: Quantity | None
    wcs: WCS
    _product: MapProduct
    _regions: FittedRegions

    @property
    def unit(self) -> Unit:
        """Unit of values and errors."""
        return self.values.unit

    @property
    def errors(self) -> Quantity:
        """Half the width of the 68% interval; NaN if the interval is open.

        Raises
        ------
        ConfigError
            If the map has no errors; for example, the map of counts has none.
        """
        if self.error_minus is None or self.error_plus is None:
            raise ConfigError(f"the map {self.name} has no errors")
        return 0.5 * (self.error_minus + self.error_plus)

    @property
    def title(self) -> str:
        """Title for pictures, such as ``Electron density``."""
        return self._product.title

    @property
    def meaning(self) -> str:
        """Meaning of the values, with the formula."""
        return self._product.comment

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw the map with contours of the surface brightness, a colour bar and a scale bar.

        Parameters
        ----------
        axes
            Axes, preferably with ``projection=map.wcs``; None: new axes of pyplot, which notebooks show
            automatically.
        """
        from pyxt_hpc.plots.maps.pictures import Picture, draw_picture_on, frame_of
        from pyxt_hpc.plots.write_products import scene_of

        picture, scene = Picture.of(self._product), scene_of(self._regions)
        if axes is None:
            from matplotlib import pyplot as plt

            size, box = frame_of(picture, scene)
            axes = plt.figure(figsize=size).add_axes(box, projection=self.wcs)
        draw_picture_on(axes, picture, scene)
        return axes

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write a FITS file and return its path.

        The values are in the primary HDU, as in the files of the command line; the errors are in the
        extensions ``ERROR_MINUS`` and ``ERROR_PLUS``. The header has sky coordinates, unit, meaning, and the
        fingerprints of bundle and results.

        Raises
        ------
        ConfigError
            If the file name does not end as that of a FITS file.
        EmptySelection
            If no pixel has a value.
        """
        if not str(path).endswith(_ENDINGS):
            raise ConfigError(
                f"{path}: a map is written as FITS: give a name that ends in {', '.join(_ENDINGS)}; for a "
                "picture save the figure of plot()"
            )
        errors = {"ERROR_MINUS": self.error_minus, "ERROR_PLUS": self.error_plus}
        known = {name: error.value for name, error in errors.items() if error is not None}
        write_map(replace(self._product, path=Path(path)), self._regions, known)
        return Path(path)

    def __repr__(self) -> str:
        seen = self.values.value[np.isfinite(self.values.value)]
        unit = f" {self.unit}" if str(self.unit) else ""
        ny, nx = self.values.shape
        low, middle, high = np.percentile(seen, [0, 50, 100])
        return (
            f"<SkyMap {self.name} of {self._regions.bundle.name}: {ny} x {nx} pixels, {len(seen)} with a "
            f"value, {low:.4g} to {high:.4g}{unit}, median {middle:.4g}>"
        )


def map_of(regions: FittedRegions, name: str, paint: str) -> SkyMap:
    """Map of fitted regions; arguments and errors as for `make_map`."""
    name = ALIASES.get(name, name)
    product, *others = map_named(regions, name, paint)
    quantity = partial(Quantity, unit=Unit(product.unit, format="fits"), dtype=np.float32)
    suffix = "" if product.path == regions.layout.map(name) else SUFFIX[paint]
    values = {other.path: other.values for other in others}
    symmetric, minus, plus = (
        values.get(regions.layout.map(f"{name}_{end}{suffix}"))
        for end in ("error", "error_minus", "error_plus")
    )
    if minus is None and plus is None:
        minus = plus = symmetric
    elif minus is None or plus is None:  # all intervals are open on this side
        blank = np.full_like(product.values, np.nan)
        minus, plus = (blank if end is None else end for end in (minus, plus))
    return SkyMap(
        name=name,
        values=quantity(product.values),
        error_minus=None if minus is None else quantity(minus),
        error_plus=None if plus is None else quantity(plus),
        wcs=regions.bundle.wcs,
        _product=product,
        _regions=regions,
    )


def make_map(
    results: FitResults, name: str = "temperature", paint: str = "block", **settings: object
) -> SkyMap:
    """Make a sky map of fits.

    If the scale map is not known, as after `fit_spectra` with circles, all pixels of a block get the circle
    of its region.

    Parameters
    ----------
    results
        Results with a bundle, as from `fit_spectra` or ``Cluster.results``.
    name
        One of `pyxt_hpc.maps.catalogue.MAPS`, such as ``temperature``, ``density`` or ``goodness``.
    paint
        ``block``: each pixel has the value of its block's region; ``interpolate``: interpolation between
        regions, weighted by the shared area of the circles; ``average``: error-weighted mean of all circles
        that contain the pixel.
    **settings
        Keys of ``[maps]`` in the configuration, such as ``depth_kpc = 500``.

    Raises
    ------
    ConfigError
        If there is no such map, the map needs a scale map and none is known, or the results have no bundle.
    EmptySelection
        If no region has a fit.
    """
    if results.bundle is None:
        raise ConfigError("results without a bundle have no position on the sky: take them from a Cluster")
    return map_in_memory(
        with_settings(config_of(results.bundle, results.settings), settings, OF_MAPS), results, name, paint
    )


def map_in_memory(config: ClusterConfig, results: FitResults, name: str, paint: str) -> SkyMap:
    """Make a map as `make_map`, with all settings from a configuration, without reading files."""
    bundle, stored = results.bundle, results.stored
    assert bundle is not None
    signal_to_noise = None
    if results.region_map is None:
        if name in CIRCLES:
            raise ConfigError(f"results without a scale map have no map {name}: take it from a Cluster")
        step = RESOLUTION_STEP[stored.settings["resolution"]]
        rows = stored.rows
        radius = paint_blocks(rows["row"], rows["col"], rows["radius"], bundle.mask > 0, step)
        radius = np.nan_to_num(radius)
        radius[rows["row"], rows["col"]] = rows["radius"]
        where = RegionMap(radius)
    else:
        where = results.region_map()
        if name in CIRCLES:
            signal_to_noise = signal_to_noise_of(bundle, config, where)
    regions = fitted_regions(config, bundle, where, stored, Path("results"))
    return map_of(replace(regions, circles_signal_to_noise=signal_to_noise), name, paint)

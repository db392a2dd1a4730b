"""The fitted regions of a cluster, from which all maps of fits are made."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import RESOLUTION_STEP, ClusterConfig
from pyxt_hpc.errors import ConfigError, EmptySelection, ForeignProduct
from pyxt_hpc.files.lock import current_owner
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.fit.extraction.extract import disc_areas
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.fit.inputs import (
    check_bundle,
    read_bin_image,
    read_cluster_bundle,
    read_region_map,
    warn_of_changed_settings,
)
from pyxt_hpc.fit.region_map import RegionMap
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.memory import check_memory
from pyxt_hpc.maps.painting.brightness import bin_brightness, smooth_brightness
from pyxt_hpc.maps.painting.paint import Measured, paint_bins, paint_blocks, paint_measured
from pyxt_hpc.store.reader import Results, read_store
from pyxt_hpc.store.rows import ROW_DTYPE, Status, is_final

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FittedRegions(ClusterImage):
    """A cluster with the fits of its regions.

    Parameters
    ----------
    radius
        (ny, nx) radius [pixels] of every pixel's circle, or of a circle with the area of its bin; 0 where
        there is no region.
    rows
        (n,) of `store.ROW_DTYPE`: the regions with a fit.
    resolution
        Resolution with which the regions were chosen.
    settings
        Settings of the fits.
    total, bad
        Number of regions in the store, and of those that were given up.
    fingerprint
        Fingerprint of the results.
    circles_signal_to_noise
        (ny, nx) S/N of every pixel's region; None: it is read from the file of stage 5.
    labels
        (ny, nx) number of every pixel's bin, 0 where there is no bin; None: regions are circles.
    left_out, left_out_status, left_out_messages
        (m,) rows (ROW_DTYPE) of the regions without a fit, their `store.Status`, and their messages, which
        may be empty.
    """

    radius: np.ndarray
    rows: np.ndarray
    resolution: int
    settings: dict
    total: int
    bad: int
    fingerprint: str = ""
    circles_signal_to_noise: np.ndarray | None = None
    labels: np.ndarray | None = None
    left_out: np.ndarray = field(default_factory=lambda: np.zeros(0, ROW_DTYPE))
    left_out_status: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))
    left_out_messages: Sequence[str] = ()

    @property
    def where(self) -> RegionMap:
        """The map from which the regions were chosen."""
        return RegionMap(self.radius, self.labels)

    @cached_property
    def brightness(self) -> Measured:
        """Surface brightness (ny, nx), averaged over the circle or bin of every pixel."""
        if self.labels is not None:
            return bin_brightness(self.bundle, self.labels)
        return smooth_brightness(self.bundle, self.radius)

    @cached_property
    def signal_to_noise(self) -> np.ndarray:
        """(ny, nx) S/N of every pixel's region."""
        if self.circles_signal_to_noise is not None:
            return self.circles_signal_to_noise
        return read_bin_image(self.layout.signal_to_noise_map, self.config, self.bundle)

    @property
    def step(self) -> int:
        """Distance between regions [pixels]."""
        return RESOLUTION_STEP[self.resolution]

    @property
    def pending(self) -> int:
        """Number of regions that are not fitted yet."""
        return self.total - self.bad - len(self.rows)

    @property
    def area_arcmin2(self) -> np.ndarray:
        """(n,) area of each complete region, to which its norm refers [arcmin^2]."""
        pixels = disc_areas(self.rows["radius"]) if self.labels is None else self.rows["area"]
        return pixels * self.bundle.pixel_area_arcmin2

    def paint(self, values: NDArray) -> NDArray[np.float32]:
        """Paint values of the regions (n,) on the sky (ny, nx): each on the region's block or bin."""
        return self.paint_rows(self.rows, values)

    def paint_rows(self, rows: np.ndarray, values: NDArray) -> NDArray[np.float32]:
        """Paint values (m,) of some rows of the store, as `paint`."""
        if self.labels is not None:
            return paint_bins(self.labels, rows["region"], values)
        return paint_blocks(rows["row"], rows["col"], values, self.radius > 0, self.step)

    def paint_measured(self, mode: str, measured: Measured, *, relative: bool) -> Measured:
        """Paint values and errors of the regions (n,) on the sky, as `paint.paint_measured`.

        Raises
        ------
        ConfigError
            If the mode is not ``block`` and the regions are bins, which do not overlap.
        """
        if self.labels is None:
            return paint_measured(mode, self.rows, measured, self.radius, self.step, relative=relative)
        if mode != "block":
            raise ConfigError(
                "regions are bins that share no pixel: their maps show every bin as it is; leave --average "
                "and --paint out"
            )
        return Measured(*(self.paint(v) for v in (measured.value, measured.minus, measured.plus)))

    def parameter(self, name: str, scale: np.ndarray | float = 1.0) -> Measured:
        """Value and errors (n,) of a fitted parameter, multiplied by `scale`."""
        value, low, high = (self.rows[f"{name}{end}"] for end in ("", "_lo", "_hi"))
        return Measured(value * scale, (value - low) * scale, (high - value) * scale)


def read_fitted_regions(config: ClusterConfig, resolution: int | None = None) -> FittedRegions:
    """Read bundle, scale map and fits, and check that they belong together.

    Parameters
    ----------
    resolution
        Expected resolution of the fits; None: that of the results store.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct
        If bundle, scale map or results are absent, unreadable or do not belong together.
    EmptySelection
        If no region has been fitted.
    ConfigError
        If the machine has too little memory for the maps.
    """
    check_memory(config)
    path = Layout.of(config).results
    bundle = read_cluster_bundle(config)
    where = read_region_map(config, bundle)
    if owner := current_owner(path):
        log.warning("%s: %s is writing it: maps will show what is fitted now", path, owner)
    results = read_store(path)
    check_bundle(results, bundle, path, config)
    warn_of_changed_settings(results, bundle, path, config)
    fitted = int(results.settings["resolution"])
    if resolution is not None and where.effective_resolution(resolution) != fitted:
        raise ForeignProduct(
            f"{path}: fitted at resolution {fitted}, not {resolution}: leave --resolution out, or "
            f"run `pyxt-hpc fit-spectra -c {config.path} --resolution {resolution}`"
        )
    return fitted_regions(config, bundle, where, results, path)


def fitted_regions(
    config: ClusterConfig, bundle: Bundle, where: RegionMap, results: Results, path: Path
) -> FittedRegions:
    """Select the regions of a cluster that have a fit.

    Parameters
    ----------
    where
        The map from which the regions were chosen.

    Raises
    ------
    EmptySelection
        If no region has been fitted.
    ForeignProduct
        If the regions of the results differ from those of the map.
    """
    done = results.status == Status.DONE
    # Indexing copies the rows, which takes as much memory again.
    rows = results.rows if done.all() else results.rows[done]
    finished = int(np.sum(is_final(results.status)))
    if not len(rows):
        raise EmptySelection(_without_fits(config, results, path, finished))
    at = rows["row"], rows["col"]
    same = where.radius[at] == rows["radius"]
    if where.labels is not None:
        same &= where.labels[at] == rows["region"]
    if not same.all():
        raise ForeignProduct(
            f"{path}: its regions are not those of the scale map {Layout.of(config).scale_map.name}: run "
            f"`pyxt-hpc fit-spectra -c {config.path}` again"
        )
    return FittedRegions(
        config=config,
        bundle=bundle,
        radius=where.radius,
        labels=where.labels,
        rows=rows,
        resolution=int(results.settings["resolution"]),
        settings=results.settings,
        total=len(results.rows),
        bad=finished - len(rows),
        history=_history(results, bundle, len(rows), finished - len(rows), where),
        fingerprint=results.fingerprint,
        left_out=results.rows[~done],
        left_out_status=results.status[~done],
        left_out_messages=[results.messages.get(i, "") for i in np.flatnonzero(~done).tolist()],
    )


def _without_fits(config: ClusterConfig, results: Results, path: Path, finished: int) -> str:
    total = len(results.rows)
    if finished < total:
        return (
            f"{path}: none of {total} regions has been fitted ({finished} bad): run "
            f"`pyxt-hpc fit-spectra -c {config.path} --continue`"
        )
    flags: Counter[str] = Counter()
    for word, n in zip(*np.unique(results.rows["flags"], return_counts=True), strict=True):
        flags.update({str(flag.name): int(n) for flag in FitFlag(int(word))})
    reasons = [f"{name} in {n}" for name, n in flags.most_common(2)]
    reasons += [f"e.g. {quoted(text)}" for text in list(results.messages.values())[:1]]
    return (
        f"{path}: all {total} regions are bad ({'; '.join(reasons) or 'no reason is stored'}): nothing can "
        f"be mapped; look at one with `pyxt-hpc fit-region -c {config.path} {results.rows['region'][0]}`, "
        "correct the configuration and fit again"
    )


def _history(
    results: Results, bundle: Bundle, n_fitted: int, n_bad: int, where: RegionMap
) -> tuple[str, ...]:
    settings = results.settings
    resolution = int(settings["resolution"])
    kind = (
        f"resolution {resolution}: a region every {RESOLUTION_STEP[resolution]} pixels",
        "circles overlap: neighbouring pixels are correlated",
    )
    if where.labels is not None:
        kind = (f"bins: {settings['bins']}", "bins share no photons: their errors are independent")
    return (
        *kind,
        f"{n_fitted} of {len(results.rows)} regions are fitted, {n_bad} bad, "
        f"{len(results.rows) - n_fitted - n_bad} not yet fitted",
        f"nH {bundle.nH:g}e22 cm^-2 ({bundle.absorption}), z {bundle.redshift:g}, "
        f"abundance {bundle.abundance:g} ({bundle.abundance_table}), "
        f"{bundle.energy_min_keV:g}-{bundle.energy_max_keV:g} keV, {settings['statistic']}",
    )

"""The fitted regions of a cluster: what every map of fits is made from."""

import logging
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import RESOLUTION_STEP, ClusterConfig
from pyxt_hpc.errors import EmptySelection, ForeignProduct
from pyxt_hpc.files.lock import current_owner
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.fit.extract import disc_areas
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.fit.inputs import check_bundle, read_cluster_bundle, read_scale_map, scale_map_settings
from pyxt_hpc.images import read_image
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.brightness import smooth_brightness
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.memory import check_memory
from pyxt_hpc.maps.paint import Measured
from pyxt_hpc.store.reader import Results, read_results
from pyxt_hpc.store.rows import Status, is_final

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FittedRegions(ClusterImage):
    """A cluster with the fits of its regions.

    Parameters
    ----------
    radius
        (ny, nx) scale map [pixels], 0 where there is no region.
    rows
        (n,) of `store.ROW_DTYPE`, the regions that have a fit.
    resolution
        At which they were chosen.
    settings
        Of the fits.
    total, bad
        Regions in the store, and those among them that were given up.
    fingerprint
        Of the results.
    circles_signal_to_noise
        (ny, nx) S/N reached in every pixel's circle; None: it is in stage 5's file.
    """

    radius: np.ndarray
    rows: np.ndarray
    resolution: int
    settings: dict
    total: int
    bad: int
    fingerprint: str = ""
    circles_signal_to_noise: np.ndarray | None = None

    @cached_property
    def brightness(self) -> Measured:
        """Surface brightness smoothed with the scale map's circles."""
        return smooth_brightness(self.bundle, self.radius)

    @cached_property
    def signal_to_noise(self) -> np.ndarray:
        """(ny, nx) S/N reached in every pixel's circle."""
        if self.circles_signal_to_noise is not None:
            return self.circles_signal_to_noise
        return read_image(
            self.layout.signal_to_noise_map,
            made_by=f"pyxt-hpc create-bins -c {self.config.path}",
            bundle_fingerprint=self.bundle.fingerprint,
            shape=self.radius.shape,
            settings=scale_map_settings(self.config),
        )

    @property
    def step(self) -> int:
        """Pixels between regions."""
        return RESOLUTION_STEP[self.resolution]

    @property
    def pending(self) -> int:
        """Regions that are not fitted yet."""
        return self.total - self.bad - len(self.rows)

    @property
    def area_arcmin2(self) -> np.ndarray:
        """(n,) area of each region's whole circle, to which its norm refers [arcmin^2]."""
        return disc_areas(self.rows["radius"]) * self.bundle.pixel_area_arcmin2

    def parameter(self, name: str, scale: np.ndarray | float = 1.0) -> Measured:
        """A fitted parameter of all regions times `scale`."""
        value, low, high = (self.rows[f"{name}{end}"] for end in ("", "_lo", "_hi"))
        return Measured(value * scale, (value - low) * scale, (high - value) * scale)


def read_fitted_regions(config: ClusterConfig, resolution: int | None = None) -> FittedRegions:
    """Read bundle, scale map and fits that belong together.

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
        If no region has been fitted.
    ConfigError
        If the machine has too little memory for the maps.
    """
    check_memory(config)
    path = Layout.of(config).results
    bundle = read_cluster_bundle(config)
    radius = read_scale_map(config, bundle)
    if owner := current_owner(path):
        log.warning("%s: %s is writing it: maps will show what is fitted now", path, owner)
    results = read_results(path)
    check_bundle(results, bundle, path, config)
    fitted = int(results.settings["resolution"])
    if resolution not in (None, fitted):
        raise ForeignProduct(
            f"{path}: fitted at resolution {fitted}, not {resolution}: leave --resolution out, or "
            f"run `pyxt-hpc fit-spectra -c {config.path} --resolution {resolution}`"
        )
    return fitted_regions(config, bundle, radius, results, path)


def fitted_regions(
    config: ClusterConfig, bundle: Bundle, radius: np.ndarray, results: Results, path: Path
) -> FittedRegions:
    """The regions of a cluster that have a fit.

    Parameters
    ----------
    config, bundle
        The cluster.
    radius
        (ny, nx) scale map [pixels].
    results
        Of this bundle.
    path
        Of the results, for messages.

    Raises
    ------
    EmptySelection
        If no region has been fitted.
    ForeignProduct
        If the circles of the results are not those of the scale map.
    """
    done = results.status == Status.DONE
    # a copy takes as much memory again
    rows = results.rows if done.all() else results.rows[done]
    finished = int(np.sum(is_final(results.status)))
    if not len(rows):
        raise EmptySelection(_without_fits(config, results, path, finished))
    if np.any(radius[rows["row"], rows["col"]] != rows["radius"]):
        raise ForeignProduct(
            f"{path}: its circles are not those of the scale map {Layout.of(config).scale_map.name}: run "
            f"`pyxt-hpc fit-spectra -c {config.path}` again"
        )
    return FittedRegions(
        config=config,
        bundle=bundle,
        radius=radius,
        rows=rows,
        resolution=int(results.settings["resolution"]),
        settings=results.settings,
        total=len(results.rows),
        bad=finished - len(rows),
        history=_history(results, bundle, len(rows), finished - len(rows)),
        fingerprint=results.fingerprint,
    )


def _without_fits(config: ClusterConfig, results: Results, path: Path, finished: int) -> str:
    total = len(results.rows)
    if finished < total:
        return (
            f"{path}: none of {total} regions has been fitted, {finished} are bad: run "
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


def _history(results: Results, bundle: Bundle, n_fitted: int, n_bad: int) -> tuple[str, ...]:
    settings = results.settings
    resolution = int(settings["resolution"])
    return (
        f"resolution {resolution}: a region every {RESOLUTION_STEP[resolution]} pixels",
        "circles overlap: neighbouring pixels are correlated",
        f"{n_fitted} of {len(results.rows)} regions are fitted, {n_bad} bad, "
        f"{len(results.rows) - n_fitted - n_bad} not yet fitted",
        f"nH {bundle.nH:g}e22 cm^-2 ({bundle.absorption}), z {bundle.redshift:g}, "
        f"abundance {bundle.abundance:g} ({bundle.abundance_table}), "
        f"{bundle.energy_min_keV:g}-{bundle.energy_max_keV:g} keV, {settings['statistic']}",
    )

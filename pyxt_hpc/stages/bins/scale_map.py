"""Stage 5: the scale map, computed in parallel over rows of the image."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pyxt_hpc.binning.bins import paint_signal_to_noise
from pyxt_hpc.binning.bins import signal_to_noise as ratio_of
from pyxt_hpc.binning.circles import (
    RADIUS_MAX,
    RADIUS_MIN,
    RADIUS_STEP,
    CircleSums,
    prepare_circle_sums,
    region_index,
    scale_map_rows,
)
from pyxt_hpc.binning.lattice import lattice
from pyxt_hpc.binning.smoothing import sum_own_circles
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.bundle.header import observation_cards
from pyxt_hpc.config.cluster import RESOLUTION_STEP, ClusterConfig
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.fit.inputs import read_cluster_bundle, scale_map_settings
from pyxt_hpc.fit.region_map import RegionMap
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.master.driver import run_chunks
from pyxt_hpc.parallel.master.ledger import Collector
from pyxt_hpc.parallel.pools.choose import choose_pool
from pyxt_hpc.parallel.pools.pool import Payload
from pyxt_hpc.parallel.world import World
from pyxt_hpc.stages.bins.label_bins import BinsSummary, Unbinned, label_bins, min_radius, summary_of

ROUNDING = 1e-3
"""Tolerance of the smallest radius in steps, since maps of the point spread have single precision."""


@dataclass(frozen=True)
class BinningSummary:
    """Summary of the circles of stage 5, for the last line on the screen."""

    live_pixels: int
    circles: int
    regions: dict[int, int]  # by resolution
    median_radius: float
    seconds: float


def _prepare_worker(meta: float, arrays: dict[str, np.ndarray]) -> tuple[CircleSums, float]:
    return CircleSums(**arrays), meta


def _scale_map_rows(context: tuple[CircleSums, float], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    images, target = context
    return scale_map_rows(images, int(rows[0]), int(rows[-1]) + 1, target)


def circle_sums_of_bundle(bundle: Bundle, config: ClusterConfig) -> CircleSums:
    """Sums for the circles of a cluster.

    S/N = (C - B)/sqrt(C + B): the variance of the background is B, as in ClusterPyXT, and not the smaller
    variance of the bundle, which accounts for long blank-sky exposures. With ``signal_to_noise_of = counts``,
    S/N = sqrt(C).
    """
    if config.signal_to_noise_of == "counts":
        nothing = np.zeros_like(bundle.background)
        return prepare_circle_sums(bundle.counts, nothing, nothing, bundle.mask)
    return prepare_circle_sums(bundle.counts, bundle.background, bundle.background, bundle.mask)


def circles_of(bundle: Bundle, config: ClusterConfig) -> tuple[np.ndarray, np.ndarray]:
    """Scale map and S/N map of a bundle, (ny, nx) float32 each, as in stage 5, but without files."""
    found = scale_map_rows(
        circle_sums_of_bundle(bundle, config), 0, bundle.mask.shape[0], config.signal_to_noise
    )
    return _with_min_radius(bundle, config, *found)


def _with_min_radius(
    bundle: Bundle, config: ClusterConfig, radius: np.ndarray, signal_to_noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Circles enlarged to the smallest radius, and their S/N."""
    if not config.minimum_radius:
        return radius, signal_to_noise
    needed = np.ceil(min_radius(bundle, config) / RADIUS_STEP - ROUNDING) * RADIUS_STEP
    larger = np.clip(np.maximum(radius, needed), RADIUS_MIN, RADIUS_MAX).astype(np.float32)
    larger[radius == 0] = 0.0
    live = bundle.mask > 0
    images = np.stack([bundle.counts, bundle.background, bundle.background, live], axis=-1) * live[..., None]
    reached = ratio_of(*sum_own_circles(images, larger)[:3]).astype(np.float32)
    return larger, np.where(larger > radius, reached, signal_to_noise)


def make_region_map(bundle: Bundle, config: ClusterConfig) -> tuple[RegionMap, np.ndarray]:
    """Regions and S/N map (ny, nx) of a bundle, as in stage 5, but without files."""
    if config.bin_method != "circles":
        made = label_bins(bundle, config)
        return RegionMap.of_labels(made.labels), made.signal_to_noise
    radius, signal_to_noise = circles_of(bundle, config)
    return RegionMap(radius), signal_to_noise


def signal_to_noise_of(bundle: Bundle, config: ClusterConfig, where: RegionMap) -> np.ndarray:
    """S/N (ny, nx) of every pixel's region."""
    if where.labels is None:
        return circles_of(bundle, config)[1]
    return paint_signal_to_noise(bundle.counts, bundle.background, bundle.background, where.labels)


def _inputs(config: ClusterConfig) -> tuple[Bundle, Payload]:
    bundle = read_cluster_bundle(config)
    return bundle, Payload(config.signal_to_noise, vars(circle_sums_of_bundle(bundle, config)))


def create_bins(config: ClusterConfig, world: World, n_workers: int) -> BinningSummary | BinsSummary | None:
    """Make the scale map, the S/N map and the index of regions; returns None on ranks that were workers.

    Bins that share no pixel are made by the master alone.

    Raises
    ------
    EmptySelection
        If no circle up to the largest radius, or no bin, reaches the S/N.
    MissingInput, DamagedFile, ConfigError
        As `label_bins`.
    Interrupted
        At a signal. Rows are not stored one by one as fits are, since they are computed quickly.
    """
    if config.bin_method != "circles":
        with world.others_wait():
            return _create_label_bins(config) if world.is_master else None
    start = time.perf_counter()
    layout = Layout.of(config)
    with world.others_wait():
        inputs = _inputs(config) if world.is_master else None
    with choose_pool(n_workers, world).open(_prepare_worker, inputs and inputs[1]) as pool:
        if pool is None or inputs is None:
            return None
        bundle = inputs[0]
        radius = np.zeros(bundle.mask.shape, np.float32)
        signal_to_noise = np.zeros_like(radius)

        def collect(rows: np.ndarray, result: tuple[np.ndarray, np.ndarray]) -> None:
            radius[rows], signal_to_noise[rows] = result

        run_chunks(
            pool,
            _scale_map_rows,
            np.arange(len(radius)),
            Collector(collect, "row"),
            label="scale map",
            unit="row",
            when_stopped="nothing is stored: the next run starts from the beginning",
        )

    radius, signal_to_noise = _with_min_radius(bundle, config, radius, signal_to_noise)
    if not radius.any():
        raise EmptySelection(
            f"no circle of up to {RADIUS_MAX:g} pixels reaches S/N {config.signal_to_noise:g} "
            f"in {layout.bundle}: lower signal_to_noise_threshold in {config.path}"
        )
    write_circles(bundle, config, radius, signal_to_noise)
    return BinningSummary(
        live_pixels=int(np.count_nonzero(bundle.mask)),
        circles=int(np.count_nonzero(radius)),
        regions={
            resolution: len(lattice(radius > 0, step)[0]) for resolution, step in RESOLUTION_STEP.items()
        },
        median_radius=float(np.median(radius[radius > 0])),
        seconds=time.perf_counter() - start,
    )


def write_circles(
    bundle: Bundle,
    config: ClusterConfig,
    radius: np.ndarray,
    signal_to_noise: np.ndarray,
    history: Sequence[str] = (),
) -> None:
    """Write the products of stage 5 for circles: radii [pixels] and S/N, (ny, nx) float32 each."""
    formula = "sqrt(C)" if config.signal_to_noise_of == "counts" else "(C - B)/sqrt(C + B)"
    _write_images(
        bundle,
        config,
        [f"radii {RADIUS_MIN:g} to {RADIUS_MAX:g} step {RADIUS_STEP:g}", *history],
        signal_to_noise=(signal_to_noise, f"{formula} in the circle; 0 where the target is not reached"),
        index=(
            region_index(radius),
            "number of the region centred here, from 1 in row-major order; 0: none",
        ),
        radius=(
            radius,
            "radius of the smallest circle with the S/N target; 0: masked or not reached",
        ),
    )


def _create_label_bins(config: ClusterConfig) -> BinsSummary:
    start = time.perf_counter()
    bundle = read_cluster_bundle(config)
    made = label_bins(bundle, config)
    codes = ", ".join(f"{why.value} {why.name.lower().replace('_', ' ')}" for why in Unbinned)
    _write_images(
        bundle,
        config,
        ["bins share no photons: their errors are independent"],
        signal_to_noise=(made.signal_to_noise, "(C - B)/sqrt(C + B) of the bin; 0 where there is none"),
        index=(
            made.labels,
            f"number of the bin that holds the pixel; 0: none, and extension UNBINNED has why: {codes}",
        ),
        radius=(
            RegionMap.of_labels(made.labels).radius,
            "radius of the circle with the area of the pixel's bin; 0: no bin",
        ),
        unbinned={"UNBINNED": made.unbinned},
    )
    return summary_of(bundle, config, made, time.perf_counter() - start)


def _write_images(
    bundle: Bundle,
    config: ClusterConfig,
    history: Sequence[str],
    *,
    signal_to_noise: tuple[np.ndarray, str],
    index: tuple[np.ndarray, str],
    radius: tuple[np.ndarray, str],
    unbinned: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write images (ny, nx) with their meanings."""
    from pyxt_hpc.images import write_image  # astropy, which ranks do without

    layout = Layout.of(config)
    for path, (values, comment), unit, extensions in (
        (layout.signal_to_noise_map, signal_to_noise, "", None),
        (layout.region_index_map, index, "", unbinned),
        (layout.scale_map, radius, "pixel", None),  # last: its presence says that the stage is complete
    ):
        write_image(
            path,
            values,
            bundle.wcs_header,
            unit=unit,
            comment=comment,
            bundle_fingerprint=bundle.fingerprint,
            settings={**observation_cards(bundle), **scale_map_settings(config)},
            history=history,
            errors=extensions,
        )

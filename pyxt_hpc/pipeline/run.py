"""All stages in order, from event files to maps; a stage is done only if something it depends on has changed.

Records of the steps, the bundle and the store say which stages are done; no command writes the configuration.
Each stage imports the slow modules that it needs itself, because the command line imports this module for the
names of the stages and must start quickly.
"""

import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyxt_hpc.config.cluster import SECTIONS, ClusterConfig, read_config
from pyxt_hpc.errors import ConfigError, ForeignProduct, LaunchError, PyxtError
from pyxt_hpc.files.quoting import several
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.world import World, detect_world
from pyxt_hpc.pipeline.summaries import (
    binning_lines,
    bins_lines,
    fitting_lines,
    map_lines,
    preprocessing_lines,
)

if TYPE_CHECKING:
    from pyxt_hpc.plots.maps.style import PictureStyle

Echo = Callable[[str], None]

# Each is a module of preprocess, and a function of the same name in it.
PREPROCESSING = ("process-data", "propose-regions", "remove-sources", "generate-responses", "crop-data")
BY_CIAO = PREPROCESSING[:-1]
"""Stages in which CIAO may take part."""
STAGES = (*PREPROCESSING, "create-bins", "fit-spectra", "make-maps")


def run_stages(
    path: Path,
    echo: Echo,
    *,
    first: str = STAGES[0],
    last: str = STAGES[-1],
    num_cpus: int | None = None,
    resolution: int = 2,
    replace: bool = False,
) -> None:
    """Do the stages from `first` to `last` of `STAGES` in this process.

    With `replace`, fits of other data or settings are replaced; finished fits of the same are always kept.

    Raises ConfigError if the first stage comes after the last; ForeignProduct if there are fits of other data
    or settings and `replace` is False; any error of a stage, after the stages before it are done.
    """
    begin, end = STAGES.index(first), STAGES.index(last)
    if begin > end:
        raise ConfigError(f"--from {first} comes after --through {last}")
    world = detect_world()
    config = read_config(path)
    for stage in STAGES[begin : end + 1]:
        echo(f"== {stage}")
        if stage in PREPROCESSING:
            preprocess(config, stage, echo)
        elif stage == "create-bins":
            make_bins(config, world, num_cpus, resolution, echo, force=False)
        elif stage == "fit-spectra":
            _fit_what_is_missing(config, world, num_cpus, resolution, replace, echo)
        else:
            _update_maps(config, resolution, echo)


def preprocess(
    config: ClusterConfig, stage: str, echo: Echo, *, force: bool = False, **options: bool
) -> None:
    """Do one stage of `PREPROCESSING`; with `force` even if it is up to date."""
    name = stage.replace("-", "_")
    do = getattr(importlib.import_module(f"pyxt_hpc.preprocess.{name}"), name)
    for line in preprocessing_lines(stage, do(config, Layout.of(config), force=force, **options)):
        echo(line)


def rehearse(config: ClusterConfig, stage: str, echo: Echo, *, force: bool = False) -> None:
    """Print the calls of CIAO in a stage as a shell script, without running them."""
    from pyxt_hpc.preprocess.ciao.backend import dry_run_lines

    for line in dry_run_lines(stage, config, Layout.of(config), force=force):
        echo(line)


def make_bins(
    config: ClusterConfig,
    world: World,
    num_cpus: int | None,
    resolution: int | None,
    echo: Echo,
    *,
    force: bool = True,
) -> None:
    """Do stage 5, and print the number of regions at `resolution`, or at each resolution.

    Without `force`, it is done only if it is outdated or missing.
    """
    from pyxt_hpc.stages.bins.label_bins import BinsSummary, bin_inputs
    from pyxt_hpc.stages.bins.scale_map import create_bins
    from pyxt_hpc.steps import Step, run_if_outdated

    layout = Layout.of(config)
    settings: dict[str, object] = {"signal_to_noise": config.signal_to_noise}
    if config.bins:
        settings["binning"] = config.bins
    step = Step(
        name="create-bins",
        record=layout.step_record("create-bins"),
        inputs=(layout.bundle, *bin_inputs(config)),
        settings=settings,
        outputs=(layout.scale_map, layout.signal_to_noise_map, layout.region_index_map),
    )
    n_workers = count_workers(num_cpus, config, world)

    def make() -> dict:
        summary = create_bins(config, world, n_workers)
        if summary is not None:
            lines = (
                bins_lines(summary, config.signal_to_noise)
                if isinstance(summary, BinsSummary)
                else binning_lines(summary, config.signal_to_noise, resolution)
            )
            for line in lines:
                echo(line)
        return {}

    if world.from_master(lambda: not force and (step.outdated() is None or _came_with_bundle(config))):
        if world.is_master:
            echo(f"{step.name}: up to date")
    elif world.is_master:
        run_if_outdated(step, make, force=True)
    else:
        make()


def _came_with_bundle(config: ClusterConfig) -> bool:
    """Whether the regions fit the bundle, while their inputs are on another machine, as after `unpack`."""
    from pyxt_hpc.fit.inputs import read_cluster_bundle, read_region_map
    from pyxt_hpc.stages.bins.label_bins import bin_inputs

    if all(path.exists() for path in bin_inputs(config)):
        return False
    try:
        read_region_map(config, read_cluster_bundle(config))
    except PyxtError:
        return False
    return True


def make_map_files(
    config: ClusterConfig,
    echo: Echo,
    names: Sequence[str] = (),
    *,
    resolution: int | None = None,
    mode: str = "block",
    mask: str | None = None,
    style: "PictureStyle | None" = None,
) -> None:
    """Do stage 7: make the maps.

    Parameters
    ----------
    config, echo
        The cluster, and the function that prints what was made.
    names
        Names of maps, as for `maps.catalogue.map_names`; empty: the default set.
    resolution
        Resolution that the fits must have; None: any.
    mode
        One of `paint.MODES`.
    mask
        Expression of maps; maps are blank where it is true.
    style
        Style of the pictures; None: the usual one.
    """
    from pyxt_hpc.maps import make
    from pyxt_hpc.maps.catalogue import map_names, need_fits
    from pyxt_hpc.maps.fitted import read_fitted_regions
    from pyxt_hpc.maps.image import read_cluster_image
    from pyxt_hpc.maps.kinds.clusterpyxt import map_as_clusterpyxt
    from pyxt_hpc.maps.kinds.expression import Expression
    from pyxt_hpc.maps.product import write_maps
    from pyxt_hpc.plots.maps.style import AS_USUAL
    from pyxt_hpc.plots.write_products import Sheets, write_products

    style = style or AS_USUAL
    expression = None if mask is None else Expression.of(mask)
    regions = None
    if need_fits(map_names(names)) or expression is not None:
        regions = read_fitted_regions(config, resolution)
        painted = several(len(regions.rows), "region")
        echo(f"{painted} painted, {regions.bad} bad, {regions.pending} not yet fitted")
    image = regions or read_cluster_image(config)
    sheets = Sheets(masked=mask is not None)
    products = make.make_maps(image, names, mode, expression)
    for line in map_lines(write_products(image, products, style, sheets)):
        echo(line)
    if regions is not None:
        for path, what in sheets.write(regions, style):
            echo(f"{path}: {what}")
        if config.clusterpyxt_maps:
            products = write_maps(regions, map_as_clusterpyxt(regions))
            for line in map_lines(write_products(regions, products, style)):
                echo(line)


def count_workers(num_cpus: int | None, config: ClusterConfig, world: World) -> int:
    """Number of processes or ranks that compute.

    `num_cpus` is the number of processes: 0 for all cores, None for that of the configuration.

    Raises LaunchError if `num_cpus` is negative, or is given under several MPI ranks.
    """
    if world.size > 1:
        if num_cpus is not None:
            raise LaunchError(f"--num-cpus {num_cpus} under {world.size} MPI ranks: use one or the other")
        return world.size - 1
    if num_cpus is None:
        num_cpus = config.num_cpus if config.parallel_processing else 1
    if num_cpus < 0:
        raise LaunchError(f"--num-cpus is {num_cpus}, expected 0 (all cores) or more")
    return num_cpus or len(os.sched_getaffinity(0))


def _fit_what_is_missing(
    config: ClusterConfig, world: World, num_cpus: int | None, resolution: int, replace: bool, echo: Echo
) -> None:
    """Fit the regions that the store lacks; replace a store of other data or settings only with `replace`."""
    from pyxt_hpc.stages.fitting import fit_into_store

    n_workers = count_workers(num_cpus, config, world)
    try:
        summary = fit_into_store(config, world, n_workers, resolution=resolution, resume=True)
    except ForeignProduct:
        if not replace:
            raise
        summary = fit_into_store(config, world, n_workers, resolution=resolution, resume=False)
    if summary is not None:
        for line in fitting_lines(summary):
            echo(line)


def _update_maps(config: ClusterConfig, resolution: int, echo: Echo) -> None:
    from pyxt_hpc.provenance import fingerprint
    from pyxt_hpc.steps import Step, run_if_outdated
    from pyxt_hpc.store.reader import read_store

    layout = Layout.of(config)
    settings = {one.attribute: getattr(config, one.attribute) for one in SECTIONS["maps"].values()}
    # The rows and not the file, which changes whenever it is opened for writing.
    results = read_store(layout.results)
    settings["fits"] = fingerprint({"rows": results.rows, "status": results.status})
    step = Step(
        name="make-maps",
        record=layout.step_record("make-maps"),
        inputs=(layout.bundle, layout.scale_map),
        settings=settings,
        outputs=(layout.map("temperature"),),
    )

    def make() -> dict:
        make_map_files(config, echo, resolution=resolution)
        return {}

    if run_if_outdated(step, make).reason is None:
        echo(f"{step.name}: up to date")

"""Stage 2: remove point sources and flares, and make the surface brightness of the remaining events."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import EventList, read_events, write_events
from pyxt_hpc.chandra.regions.sky import contains, contains_pixels
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.chandra.times.gti_io import read_gti, write_gti, write_light_curve
from pyxt_hpc.chandra.times.lightcurve import PARTICLES_EV, light_curve
from pyxt_hpc.chandra.times.livetime import live_share, live_times, with_live_times
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.detect.cluster_share import cluster_share
from pyxt_hpc.detect.flares import check_quiet, find_quiet
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.progress import counted
from pyxt_hpc.preprocess.background.local_background import write_local_background
from pyxt_hpc.preprocess.background.seeds import stage_rng
from pyxt_hpc.preprocess.checks.rates import min_background_rate
from pyxt_hpc.preprocess.ciao.backend import ciao_part
from pyxt_hpc.preprocess.images.light_curve_plot import CleanedCurve, draw_light_curves
from pyxt_hpc.preprocess.images.merged_images import MergedField, merge_field, write_field_image
from pyxt_hpc.preprocess.inputs.drawn_regions import FieldRegions, RegionReader
from pyxt_hpc.preprocess.inputs.supplied import need, need_current, need_regions
from pyxt_hpc.steps import Facts, StageResult, Step, StepResult, run_if_outdated

log = logging.getLogger(__name__)

STAGE = "remove-sources"
# Passes of flare cleaning: name in file names, energies [eV]. The second has more counts.
_PASSES = (("hiE", PARTICLES_EV), ("fullE", (300.0, 12000.0)))
_MIN_QUIET_SHARE = 0.5  # a smaller fraction of quiet time gives a warning
_MAX_CLUSTER_SHARE = 0.05  # a larger fraction of cluster counts in a background gives a warning
_FILL_PIXELS = 4.0  # sigma of the Gaussian that fills holes; it is doubled until all holes are filled


def remove_sources(
    config: ClusterConfig, layout: Layout, *, fill: bool = False, force: bool = False
) -> StageResult:
    """Remove the sources of ``sources.reg`` and flares, and make the surface brightness without them.

    ``fill``: also make an image with filled holes, for display only.

    Returns the facts of `_clean_observation` for each ObsID. Raises MissingInput if sources.reg or a product
    of stage 1 is missing; ForeignProduct if such a product is of files that have changed since;
    EmptySelection if an observation has hardly any time without flares, or no event outside the sources.
    """
    ciao_part(STAGE, config, layout, force=force)
    need_regions(layout.sources_reg)
    need("pyxt-hpc process-data", *map(layout.filtered_events, config.observation_ids))
    need_current(layout, "process-data", config.observation_ids)
    # Read regions first, so that syntax errors are reported before the computation.
    regions = _read_regions(layout, config.observation_ids)
    outcomes: dict[str, StepResult] = {}
    for obsid in counted(STAGE, "observation", config.observation_ids):
        step = _step(obsid, layout, config.flare_filter)
        outcomes[obsid] = run_if_outdated(
            step,
            partial(_clean_observation, obsid, layout, regions, config.flare_filter, step),
            force=force,
        )
    whole = _brightness(config.observation_ids, layout, regions, fill=fill, force=force)
    return StageResult.of(outcomes, whole)


def _read_regions(layout: Layout, obsids: tuple[str, ...]) -> FieldRegions:
    reader = RegionReader.of(layout, obsids)
    exclude, background = (
        reader.read(path) if check_regular(path) else None
        for path in (layout.exclude_reg, layout.background_reg)
    )
    return FieldRegions(reader.read(layout.sources_reg), exclude, background, reader.frames)


def _step(obsid: str, layout: Layout, flare_filter: str) -> Step:
    chosen = layout.supplied_gti(obsid), *([layout.deflare_gti(obsid)] if flare_filter == "deflare" else [])
    outputs = [
        layout.clean_events(obsid), layout.light_curve_plot(obsid),
        *(path(obsid, name) for name, _ in _PASSES for path in (layout.light_curve, layout.good_times)),
    ]  # fmt: skip
    if not check_regular(layout.background_events(obsid)):
        outputs.append(layout.local_background(obsid))
    return Step(
        name=f"{STAGE} of ObsID {obsid}",
        record=layout.step_record(STAGE, obsid),
        inputs=(
            layout.filtered_events(obsid), layout.geometry(obsid), layout.sources_reg, layout.exclude_reg,
            layout.background_reg, *chosen,
        ),
        settings={"flare_filter": flare_filter},
        outputs=tuple(outputs),
    )  # fmt: skip


def _clean_observation(
    obsid: str, layout: Layout, regions: FieldRegions, flare_filter: str, step: Step
) -> Facts:
    events = read_events(layout.filtered_events(obsid), ours=True)
    position = events.wcs, events.x, events.y
    in_source = contains_pixels(regions.sources, *position, regions.frames)
    if in_source.all():
        raise EmptySelection(f"{regions.sources.path}: no event of {events.path} is outside; draw it again")
    in_core = np.zeros(len(events), dtype=bool)
    if regions.exclude is not None:
        in_core = contains_pixels(regions.exclude, *position, regions.frames)
        if not (~in_source & ~in_core).any():
            raise EmptySelection(
                f"{regions.exclude.path}: no event of {events.path} is outside; draw it around the peak only"
            )
    start = chosen = _times_to_clean(events, layout.supplied_gti(obsid))
    if flare_filter == "deflare":
        start = _times_to_clean(replace(events, gti=start), layout.deflare_gti(obsid))
    passes, times = _clean(events, start, (~in_source, ~in_source & ~in_core), obsid, layout)
    for (name, _), done, gti in zip(_PASSES, passes, times, strict=True):
        good = gti_arithmetic.union(list(gti.values()))
        write_gti(layout.good_times(obsid, name), good, events.header)
        write_light_curve(layout.light_curve(obsid, name), done.curve, events.header)
    gti = times[-1]
    share = _total(gti) / _total(chosen)  # relative to the times that a person chose, if any
    if share < _MIN_QUIET_SHARE:
        log.warning("ObsID %s: only %.0f%% of the time is quiet", obsid, 100 * share)

    kept = ~in_source & events.in_good_time(gti)
    header = with_live_times(events.header, gti, live_share(events.header, events.gti, str(events.path)))
    header["STEPID"] = (step.fingerprint[:16], "fingerprint of inputs and settings")
    clean = replace(events.select(kept), gti=gti, header=header)
    if len(clean) == 0:
        raise EmptySelection(f"{events.path}: no event is left without sources and flares")
    write_events(layout.clean_events(obsid), clean)
    findings: list[str] = []
    if not check_regular(layout.background_events(obsid)):
        findings += write_local_background(clean, obsid, layout, regions, stage_rng(STAGE, obsid))
    first, second = (done.cleaning for done in passes)
    return {
        "exposure_s": float(clean.header["EXPOSURE"]),
        "exposure_of_chip_s": {
            str(chip): seconds for chip, seconds in live_times(header, gti, str(events.path)).items()
        },
        "flare_fraction": 1.0 - share,
        "lost_in_first": 1.0 - first.share_kept,
        "quiet_rate": first.mean,
        "quiet_sigma": first.sigma,
        "full_rate": second.mean,
        "in_sources": int(in_source.sum()),
        "events": len(clean),
        "findings": findings,
    }


def _total(gti: Mapping[int, NDArray[np.float64]]) -> float:
    return sum(gti_arithmetic.ontime(intervals) for intervals in gti.values())


def _clean(
    events: EventList,
    gti: dict[int, NDArray[np.float64]],
    outside: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    obsid: str,
    layout: Layout,
) -> tuple[list[CleanedCurve], list[dict[int, NDArray[np.float64]]]]:
    """Do both passes: particles outside the sources, then all energies also outside the cluster's peak.

    Returns the curve of each pass, and the good times of each chip after each pass. The picture is also drawn
    after a failure, to show its reason.
    """
    passes: list[CleanedCurve] = []
    times: list[dict[int, NDArray[np.float64]]] = []
    try:
        for (_, band), chosen in zip(_PASSES, outside, strict=True):
            passes.append(_one_pass(events, chosen, band, gti, passes))
            check_quiet(passes[-1].cleaning)
            gti = {c: gti_arithmetic.intersection(gti[c], passes[-1].cleaning.gti) for c in gti}
            times.append(gti)
    except EmptySelection as error:
        raise EmptySelection(
            f"{events.path}: {error}; take ObsID {obsid} out of observation_ids, or choose its good times "
            f"yourself: {layout.supplied_gti(obsid)}"
        ) from None
    finally:
        if passes:
            draw_light_curves(passes, f"ObsID {obsid}", layout.light_curve_plot(obsid))
    return passes, times


def _times_to_clean(events: EventList, own: Path) -> dict[int, NDArray[np.float64]]:
    """Good times of each chip, within those of the file `own` if it exists."""
    if not check_regular(own):
        return dict(events.gti)
    chosen = read_gti(own)
    gti = {chip: gti_arithmetic.intersection(intervals, chosen) for chip, intervals in events.gti.items()}
    if _total(gti) == 0:
        raise EmptySelection(f"{own}: no good time of {events.path} is inside; make it for this ObsID")
    return gti


def _one_pass(
    events: EventList,
    chosen: NDArray[np.bool_],
    band: tuple[float, float],
    gti: Mapping[int, NDArray[np.float64]],
    before: list[CleanedCurve],
) -> CleanedCurve:
    assert events.time is not None
    chosen = chosen & events.in_band(band)
    chosen[chosen] = events.select(chosen).in_good_time(gti)
    edges = before[0].curve.edges if before else None
    curve = light_curve(events.time[chosen], list(gti.values()), edges=edges)
    name = f"{band[0] / 1e3:g}-{band[1] / 1e3:g} keV"
    return CleanedCurve(name, curve, find_quiet(curve, before[0].cleaning if before else None))


def _brightness(
    obsids: tuple[str, ...], layout: Layout, regions: FieldRegions, *, fill: bool, force: bool
) -> StepResult:
    outputs = [layout.source_free_brightness, *([layout.filled_brightness] if fill else [])]
    step = Step(
        name=f"{STAGE}: surface brightness",
        record=layout.step_record(STAGE),
        inputs=(
            layout.sources_reg, layout.exclude_reg, layout.background_reg,
            *(path(o) for o in obsids
              for path in (layout.clean_events, layout.background_events, layout.geometry)),
        ),
        settings={},
        outputs=tuple(outputs),
    )  # fmt: skip

    def make() -> Facts:
        bright = [region for region in (regions.sources, regions.exclude) if region is not None]
        field = merge_field(obsids, layout, layout.clean_events, bright, regions.frames)
        values = field.brightness
        ra, dec = field.grid.centres()
        values[contains(regions.sources, ra, dec, regions.frames)] = np.nan
        note = "without sources and flares"
        write_field_image(
            layout.source_free_brightness, values, field, layout.name, "count s-1 arcmin-2", note,
            step.fingerprint,
        )  # fmt: skip
        if fill:
            note += "; holes are filled from their surroundings, for display only"
            write_field_image(
                layout.filled_brightness, _filled(values, field), field, layout.name, "count s-1 arcmin-2",
                note, step.fingerprint,
            )  # fmt: skip
        return {"findings": list(_cluster_in_background(field, obsids, layout, regions))}

    return run_if_outdated(step, make, force=force)


def _cluster_in_background(
    field: MergedField, obsids: tuple[str, ...], layout: Layout, regions: FieldRegions
) -> Iterator[str]:
    """Warning if the region for the background holds much emission of the cluster."""
    without = [obsid for obsid in obsids if not check_regular(layout.background_events(obsid))]
    if regions.background is None or not without:
        return
    ra, dec = field.grid.centres()
    exposure = np.where(contains(regions.sources, ra, dec, regions.frames), 0.0, field.exposure)
    region = contains(regions.background, ra, dec, regions.frames)
    min_background = min_background_rate(field.grid.pixel_scale_arcsec)
    share = cluster_share(field.counts, exposure, region, min_background=min_background)
    if share is not None and share > _MAX_CLUSTER_SHARE:
        yield (
            f"{regions.background.path}: about {share:.0%} of its 0.5-7 keV counts are the cluster's, by a "
            f"beta model of the field, and so is this share of the background of ObsID {', '.join(without)}; "
            "draw it farther out, or supply blank-sky files"
        )


def _filled(values: NDArray[np.float64], field: MergedField) -> NDArray[np.float64]:
    """Image with holes on chips filled by a Gaussian mean of their surroundings."""
    # Imported here because it takes 37 MiB and 0.2 s.
    from astropy.convolution import Gaussian2DKernel, convolve_fft, interpolate_replace_nans

    filled = values.copy()
    sigma = _FILL_PIXELS
    while (holes := ~np.isfinite(filled) & (field.exposure > 0)).any():
        smooth = interpolate_replace_nans(filled, Gaussian2DKernel(sigma), convolve=convolve_fft)
        filled[holes] = smooth[holes]
        sigma *= 2
    return filled

"""Bundle of ClusterPyXT's own products, from which it made its circles and fits.

The grid is taken from ``combined/acisI_comb_mask.fits``. The events are those that ClusterPyXT fitted; they
are binned onto the grid by their own sky coordinates, so nothing is resampled. As in ClusterPyXT, every live
pixel has the full exposure, and the whole field has one effective area, without vignetting. Such a bundle
serves to reproduce ClusterPyXT's maps; for a new analysis, stages 1 to 4 make a better one.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle, BundleObservation
from pyxt_hpc.chandra.events import EventList, read_events
from pyxt_hpc.chandra.keywords import exposure_s
from pyxt_hpc.chandra.observed import dates_of
from pyxt_hpc.chandra.ogip.response import check_match
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import DamagedFile, EmptySelection, MissingInput
from pyxt_hpc.files.fits import open_fits
from pyxt_hpc.files.system_errors import system_errors
from pyxt_hpc.files.text import read_text
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.layout import ClusterpyxtLayout
from pyxt_hpc.preprocess.background.blank_sky import PARTICLE_BAND_EV
from pyxt_hpc.preprocess.crop_data import assemble, events_by_pixel

AREA_OF = "ClusterPyXT's masks: one area for the whole field, no vignetting"
HINT = "ClusterPyXT made it; copy it again"
_SAME_SCALE = 0.02


@dataclass(frozen=True)
class ObservationProducts:
    """Files of one observation for a bundle."""

    obsid: str
    events: Path
    background: Path
    arf: Path
    rmf: Path
    mask: Path


def find_products(old: ClusterpyxtLayout, obsids: tuple[str, ...]) -> tuple[ObservationProducts, ...]:
    """Find the files of every observation; copies in ``acb/`` take precedence over their originals.

    Raises MissingInput, which names all missing files.
    """
    missing: list[str] = []
    if not check_regular(old.combined_mask):
        missing.append(str(old.combined_mask))

    def first(*paths: Path) -> Path:
        for path in paths:
            if check_regular(path):
                return path
        missing.append(str(paths[0]))
        return paths[0]

    found = tuple(
        ObservationProducts(
            obsid=o,
            events=first(old.cleaned_events(o), old.clean_events(o)),
            background=first(old.cleaned_background(o)),
            arf=first(old.copied_arf(o), old.response(o, "arf")),
            rmf=first(old.copied_rmf(o), old.response(o, "rmf")),
            mask=first(old.mask_image(o)),
        )
        for o in obsids
    )
    if missing:
        raise MissingInput(f"ClusterPyXT's products are not all there: {', '.join(missing)}")
    return found


def read_plane(path: Path, what: str) -> tuple[NDArray[np.float64], WCS]:
    """Read an image (ny, nx) with its sky coordinates. Raises MissingInput, DamagedFile."""
    with open_fits(path, what, HINT) as hdus:
        values, wcs = hdus[0].data, WCS(hdus[0].header).celestial
        if values is None or values.ndim != 2 or list(wcs.wcs.ctype) != ["RA---TAN", "DEC--TAN"]:
            raise DamagedFile(f"{path}: expected a {what} with sky coordinates (RA---TAN, DEC--TAN); {HINT}")
        return values.astype(float), wcs


def bundle_of(config: ClusterConfig, old: ClusterpyxtLayout) -> tuple[Bundle, list[str]]:
    """Make a bundle of ClusterPyXT's events, responses and masks; also return remarks for the user.

    Raises
    ------
    MissingInput, DamagedFile, ResponseMismatch
        If a file is missing, is damaged, or does not fit the others.
    EmptySelection
        If an observation has no live pixel, no event in the band on live pixels, or no 9.5-12 keV count.
    """
    products = find_products(old, config.observation_ids)
    values, wcs = read_plane(old.combined_mask, "mask")
    scale = proj_plane_pixel_scales(wcs) * 3600.0
    if abs(scale[0] / scale[1] - 1.0) > 1e-6:
        raise DamagedFile(f"{old.combined_mask}: its pixels are not square; {HINT}")
    grid = SkyGrid(wcs, (values.shape[0], values.shape[1]), float(scale[0]))
    findings: list[str] = []
    observations = []
    frame = None
    for files in products:
        events = read_events(files.events)
        frame = frame or events.wcs
        observation, said = _observation(config, old, files, events, grid)
        observations.append(observation)
        findings += said
    assert frame is not None
    bundle = assemble(config, grid, frame, observations, "")
    if check_regular(old.combined_counts):
        theirs, ours = read_plane(old.combined_counts, "image of counts")[0].sum(), bundle.counts.sum()
        findings.append(
            f"{old.combined_counts.name} has {theirs:.0f} counts, the bundle {ours}: without sources, and "
            "each event in the pixel of its own coordinates"
        )
    return bundle, findings


def _observation(
    config: ClusterConfig,
    old: ClusterpyxtLayout,
    files: ObservationProducts,
    events: EventList,
    grid: SkyGrid,
) -> tuple[BundleObservation, list[str]]:
    band = config.energy_min_keV, config.energy_max_keV
    mask = _mask_on(grid, files.mask)
    if not mask.any():
        raise EmptySelection(f"{files.mask}: no pixel of it is live on the grid of {old.combined_mask.name}")
    background = read_events(files.background)
    arf, rmf = read_arf(files.arf), read_rmf(files.rmf)
    check_match(arf, rmf, str(files.arf), str(files.rmf))
    (indptr, ordered), (background_indptr, background_ordered) = (
        events_by_pixel(file, mask, grid, band, rmf) for file in (events, background)
    )
    if not len(ordered):
        raise EmptySelection(f"{files.events}: no event of {band[0]:g}-{band[1]:g} keV on a live pixel")
    background_scale, findings = _background_scale(old, files, events, background, grid)
    dates = dates_of(events.header)
    return (
        BundleObservation(
            obsid=files.obsid,
            exposure_s=_exposure(old, files, events),
            background_scale=background_scale,
            mask=mask.astype(np.uint8),
            vignetting_keV=np.array(band),
            vignetting=np.broadcast_to(mask.astype(np.float32), (2, *mask.shape)).copy(),
            event_indptr=indptr,
            event_channel=ordered,
            background_indptr=background_indptr,
            background_channel=background_ordered,
            arf=arf,
            rmf=rmf,
            area_of=AREA_OF,
            date_obs=dates.begin,
            date_end=dates.end,
        ).trimmed(),
        findings,
    )


def _mask_on(grid: SkyGrid, path: Path) -> NDArray[np.bool_]:
    """Live pixels (ny, nx) of the grid: those with their centres in live pixels of a mask."""
    values, wcs = read_plane(path, "mask")
    row, col = SkyGrid(wcs, (values.shape[0], values.shape[1])).pixel_index(*grid.centres())
    live = row >= 0
    live[live] = values[row[live], col[live]] > 0.5
    return live


def _exposure(old: ClusterpyxtLayout, files: ObservationProducts, events: EventList) -> float:
    path = old.exposure_time(files.obsid)
    if check_regular(path):
        lines = read_text(path, HINT).split()
        try:
            source, seconds = path, float(lines[0])
        except (IndexError, ValueError):
            raise DamagedFile(f"{path}: expected the exposure in seconds; {HINT}") from None
    else:
        known = exposure_s(events.header)
        if known is None:
            raise DamagedFile(f"{files.events}: its header has no EXPOSURE; {HINT}")
        source, seconds = files.events, known
    if not 0 < seconds < np.inf:
        raise DamagedFile(f"{source}: the exposure is {seconds:g} s, expected more than 0; {HINT}")
    return seconds


def _background_scale(
    old: ClusterpyxtLayout,
    files: ObservationProducts,
    events: EventList,
    background: EventList,
    grid: SkyGrid,
) -> tuple[float, list[str]]:
    """Scale of the background counts in ClusterPyXT's fits, and a remark if the 9.5-12 keV counts disagree.

    ClusterPyXT assigned to the background the time t_data x (counts of background)/(counts of data), with the
    9.5-12 keV counts in the crop.
    """
    high, blank = (_high_counts(e, grid) for e in (events, background))
    if not high or not blank:
        empty = files.background if high else files.events
        raise EmptySelection(f"{empty}: no 9.5-12 keV counts in the crop: the background cannot be scaled")
    counted = high / blank
    times = old.data_time(files.obsid), old.background_time(files.obsid)
    if not all(map(check_regular, times)):
        return counted, []
    data, back = map(_load, times)
    live = (data > 0) & (back > 0) if data.shape == back.shape else np.zeros(0, bool)
    if not live.any():
        raise DamagedFile(f"{times[0]}, {times[1].name}: have no effective times in common; {HINT}")
    used = float(np.median(data[live] / back[live]))
    if abs(used / counted - 1.0) < max(_SAME_SCALE, 3.0 * (1.0 / high + 1.0 / blank) ** 0.5):
        return used, []
    return used, [
        f"ObsID {files.obsid}: ClusterPyXT scaled the background by {used:.4g}; the 9.5-12 keV counts of its "
        f"events give {counted:.4g}"
    ]


def _high_counts(events: EventList, grid: SkyGrid) -> int:
    high = events.select(events.in_band(PARTICLE_BAND_EV))
    return int(np.count_nonzero(grid.index_of(high.wcs, high.x, high.y)[0] >= 0))


def _load(path: Path) -> NDArray[np.float64]:
    try:
        with system_errors(path):
            return np.asarray(np.load(path, allow_pickle=False), float)
    except (ValueError, EOFError) as error:
        raise DamagedFile(f"{path}: is not a numpy array ({str(error).splitlines()[0]}); {HINT}") from None


def read_radii(path: Path, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Read ClusterPyXT's radii (ny, nx), including NaN. Raises MissingInput, DamagedFile."""
    with open_fits(path, "scale map", HINT) as hdus:
        values = hdus[0].data
        if values is None or values.shape != shape:
            raise DamagedFile(
                f"{path}: its image is {'missing' if values is None else values.shape}, expected "
                f"{shape} as the mask has; {HINT}"
            )
        return values.astype(float)

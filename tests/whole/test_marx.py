"""Stages 1 to 7 on events of a simulator that is not ours: MARX, an independent ray trace of Chandra.

A cluster of one temperature, seven point sources, sky and particles, in three observations; the truth is in
truth.json beside the events. What is measured goes to the log (the table of benchmarks/README.md):

    pytest tests/whole/test_marx.py --log-cli-level=INFO | grep test_marx
"""

import gzip
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from fitted_in_memory import fit_in_memory
from numpy.typing import NDArray
from scipy.stats import binom, chi2

from pyxt_hpc.bundle import Bundle, read_bundle
from pyxt_hpc.chandra.events import read_events
from pyxt_hpc.chandra.regions.sky import read_regions
from pyxt_hpc.chandra.sky.aspect import with_aspect
from pyxt_hpc.chandra.sky.geometry import measure_geometry
from pyxt_hpc.cli import main
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import Status

log = logging.getLogger(__name__)

NAME = "marx"
UNLIKELY = 1e-3
"""Probability that a statement about right numbers fails by chance. The files do not change: none does."""

FRAME_TRANSFER, EFFICIENCY = 1.006, 0.010
"""Norms come out this high for reasons of the simulation, its README says: photons in frame transfer, which
EXPOSURE does not count, and up to this much more where I2's efficiency is above that of the ARF's chip."""

TOLERANCE = 0.01  # of norms, in addition

RESPONSES = {
    "9001": {"9001": "acisI"},
    "9002": {"9002": "acisI"},
    "9003": {"9003-FI": "acisI", "9003-BI": "acisS"},
}

BACKGROUND = "fk5\ncircle(149.9872,45.4725,3')\ncircle(150.3674,45.1523,3')\n"
"""ACIS-S, of which there is no blank sky (that of ACIS-I has other chips): the middles of S1 and S4, 14 and
11 arcmin from the cluster, where it has less than 1/1000 of its central brightness. The sky is vignetted more
there than on S3, so this holds where the background is a small part."""


@dataclass(frozen=True, eq=False)
class Run:
    """A cluster after stages 1 to 7."""

    layout: Layout
    truth: dict[str, Any]
    bundle: Bundle
    rows: NDArray

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column of the cluster."""
        wcs = WCS(fits.Header.fromstring(self.bundle.wcs_header))
        x, y = wcs.all_world2pix(self.truth["ra"], self.truth["dec"], 0)
        return float(y), float(x)

    def distance(self, rows: NDArray) -> NDArray:
        """From the cluster's centre [pixels]."""
        row, col = self.centre
        return np.hypot(rows["row"] - row, rows["col"] - col)

    def true_norm(self, rows: NDArray) -> NDArray:
        """True norm of each circle: its pixels' share of the beta model on the whole sky."""
        pixel, core = self.bundle.pixel_scale_arcsec, self.truth["core_radius_arcsec"]
        slope = 3.0 * self.truth["beta"] - 0.5
        beyond = 300  # circles may reach beyond the image
        y, x = (np.arange(-beyond, n + beyond, dtype=float) for n in self.bundle.mask.shape)
        row, col = self.centre
        arcsec_sq = pixel**2 * ((y[:, None] - row) ** 2 + (x[None, :] - col) ** 2)
        share = (1.0 + arcsec_sq / core**2) ** -slope * (slope - 1.0) * pixel**2 / (np.pi * core**2)
        norms = []
        for each in rows:
            inside = (y[:, None] - each["row"]) ** 2 + (x[None, :] - each["col"]) ** 2 <= each["radius"] ** 2
            norms.append(self.truth["norm"] * share[inside].sum())
        return np.array(norms)


def deviations(rows: NDArray, kT: float) -> NDArray:
    """Deviations of the temperatures, in units of the error on the side of the truth."""
    side = np.where(rows["kT"] > kT, rows["kT"] - rows["kT_lo"], rows["kT_hi"] - rows["kT"])
    return (rows["kT"] - kT) / side


def weighted(ratio: NDArray, error: NDArray) -> tuple[float, float]:
    """Weighted mean and its error."""
    weight = error**-2.0
    return float(np.sum(weight * ratio) / weight.sum()), float(weight.sum() ** -0.5)


def apart(rows: NDArray, distance: NDArray) -> NDArray:
    """Circles that share no pixel, taken from the centre outwards, independently of their counts."""
    chosen: list[int] = []
    for i in np.argsort(distance, kind="stable"):
        near = rows[chosen]
        gap = np.hypot(near["row"] - rows["row"][i], near["col"] - rows["col"][i])
        if np.all(gap > near["radius"] + rows["radius"][i] + 1):
            chosen.append(int(i))
    return rows[chosen]


def share_on(run: Run, rows: NDArray, kind: str) -> NDArray:
    """For each circle, the share of its live pixels that are on the chips of a kind."""
    shape = run.bundle.mask.shape
    masks = {o.dataset: o.on_grid(o.mask > 0, shape) for o in run.bundle.observations}
    on = np.any([mask for name, mask in masks.items() if name.endswith(f"-{kind}")], axis=0)
    live = np.any(list(masks.values()), axis=0)
    y, x = np.indices(live.shape)
    shares = []
    for each in rows:
        inside = (y - each["row"]) ** 2 + (x - each["col"]) ** 2 <= each["radius"] ** 2
        shares.append(np.count_nonzero(on & inside) / np.count_nonzero(live & inside))
    return np.array(shares)


def rings(run: Run, farthest: float) -> NDArray[np.float32]:
    """Radii of eight circles in each of several rings about the cluster, which grow outwards.

    The smallest circle with a certain S/N has more counts than its share; the norm is measured in circles
    that were chosen by place alone.
    """
    radius = np.zeros(run.bundle.mask.shape, np.float32)
    row, col = run.centre
    inner, sine = 8.0, np.sin(np.pi / 8)
    radius[round(row), round(col)] = inner - 1.0
    while (middle := inner / (1.0 - sine)) < farthest:
        for angle in 2.0 * np.pi * np.arange(8) / 8:
            y, x = round(row + middle * np.sin(angle)), round(col + middle * np.cos(angle))
            if 0 <= y < radius.shape[0] and 0 <= x < radius.shape[1]:
                radius[y, x] = np.floor(middle * sine - 1.0)
        inner = middle * (1.0 + sine)
    return radius


@pytest.fixture(scope="module")
def marx(shared: Path) -> Path:
    folder = shared / "marx"
    if not (folder / "truth.json").exists():
        pytest.skip(f"the events of MARX are not here: {folder} (only developers have them)")
    return folder


@pytest.fixture(scope="module")
def observe(marx: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Copy observations to the place of the pipeline's input, and run it; each set of observations once."""
    made: dict[tuple[str, ...], Run] = {}

    def of(*obsids: str) -> Run:
        if obsids not in made:
            made[obsids] = _run(marx, tmp_path_factory.mktemp("marx"), obsids)
        return made[obsids]

    return of


def _unpack(packed: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.decompress(packed.read_bytes()))


def _run(marx: Path, folder: Path, obsids: tuple[str, ...]) -> Run:
    truth = json.loads((marx / "truth.json").read_text())
    layout = Layout(folder / NAME, NAME)
    for obsid in obsids:
        primary = layout.observation(obsid) / "primary"
        primary.mkdir(parents=True)
        for name in (f"acisf0{obsid}_evt2.fits.gz", f"pcadf0{obsid}_asol1.fits.gz"):
            shutil.copy(marx / name, primary)
        for dataset, chips in RESPONSES[obsid].items():
            for suffix in ("arf", "rmf"):
                _unpack(marx / f"{chips}.{suffix}.gz", layout.observation(obsid) / f"{dataset}.{suffix}")
        if obsid == "9003":
            layout.background_reg.write_text(BACKGROUND, encoding="ascii")
        else:
            # the same blank sky for both: its chip coordinates are projected to each observation's field
            _unpack(marx / "9001_background.fits.gz", layout.supplied_background(obsid))
    config = folder / f"{NAME}.ini"
    config.write_text(
        f"[cluster_info]\nname = {NAME}\nobservation_ids = {', '.join(obsids)}\nredshift = {truth['z']}\n"
        f"hydrogen_column_density = {truth['nH']}\nabundance = {truth['abundance']}\n"
        f"signal_to_noise_threshold = 30\ndata_directory = .\n",
        encoding="utf-8",
    )
    stages = ["run", "-c", str(config), "--through", "fit-spectra", "--resolution", "1", "--num-cpus", "2"]
    assert main([*stages, "--yes"]) == 0
    results = read_store(layout.results)
    rows = results.rows[results.status == Status.DONE]
    return Run(layout, truth, read_bundle(layout.bundle), rows)


@pytest.fixture(scope="module")
def acis_i(observe: Callable[..., Run]) -> Run:
    """Both observations with ACIS-I."""
    return observe("9001", "9002")


@pytest.fixture(scope="module")
def acis_s(observe: Callable[..., Run]) -> Run:
    """The target on S3, which is back-illuminated, and its outskirts on S2, which is not."""
    return observe("9003")


@pytest.fixture(scope="module")
def mixed(observe: Callable[..., Run]) -> Run:
    """All three observations."""
    return observe("9001", "9002", "9003")


def sources_found(run: Run) -> set[str]:
    """Names of the true sources that were proposed; there must be no others."""
    true = SkyCoord([(s["ra"], s["dec"]) for s in run.truth["sources"]], unit="deg")
    proposed = SkyCoord([s.points[0] for s in read_regions(run.layout.sources_reg).shapes], unit="deg")
    nearest, away, _ = proposed.match_to_catalog_sky(true)
    log.info(f"{len(proposed)} sources, farthest {away.arcsec.max():.2f} arcsec from the truth")
    assert away.arcsec.max() < 1.0
    assert len(set(nearest)) == len(proposed)
    return {run.truth["sources"][i]["name"] for i in nearest}


def test_sources_are_found_and_no_other(acis_i: Run, acis_s: Run, mixed: Run) -> None:
    every = {source["name"] for source in acis_i.truth["sources"]}
    assert sources_found(acis_i) == sources_found(mixed) == every
    # a third of the exposure: the brightest of those on S2 and S3
    assert sources_found(acis_s) == {"p1", "p2", "p3"}


def test_scale_of_the_blank_sky(acis_i: Run) -> None:
    facts = json.loads(acis_i.layout.step_record("crop-data").read_text())["facts"]["observations"]
    blank = read_events(acis_i.layout.supplied_background("9001")).header["EXPOSURE"]
    for observation in acis_i.bundle.observations:
        obsid = observation.obsid
        events = read_events(next((acis_i.layout.observation(obsid) / "primary").glob("*evt2*")))
        true, found = events.header["EXPOSURE"] / blank, facts[obsid]["background_scale"]
        error = facts[obsid]["background_scale_error"]
        log.info(f"{obsid}: scale {found:.4f} +- {error:.4f}, true {true:.4f}")
        assert 0.02 * true < error < 0.04 * true
        assert abs(found - true) < 3.0 * error
    assert facts["9001"]["background_scale"] == pytest.approx(0.1314, abs=3 * 0.0043)


@pytest.mark.parametrize("obsid", ["9001", "9002", "9003"])
def test_dither_is_that_of_the_aspect_solution(marx: Path, obsid: str) -> None:
    """The dither is measured from the events alone; 8 arcsec are 16 pixels."""
    events = read_events(marx / f"acisf0{obsid}_evt2.fits.gz")
    chips = np.unique(events.ccd_id).tolist()
    seen = measure_geometry(events, chips)
    told = with_aspect(seen, [marx / f"pcadf0{obsid}_asol1.fits.gz"]).dither_at(seen.time)
    difference = seen.dither - (told - told.mean(axis=0))
    rms = np.sqrt(np.mean(difference**2, axis=0))
    log.info(f"{obsid}: dither rms {seen.dither.std(axis=0).round(2)}, off by {rms.round(3)} pixels")
    assert np.all(seen.dither.std(axis=0) > 10)
    assert np.all(rms < 0.1)


def test_temperatures_are_the_truth_within_their_errors(acis_i: Run, mixed: Run) -> None:
    for run in (acis_i, mixed):
        check_temperatures(run, apart(run.rows, run.distance(run.rows)), at_least=30)


def test_temperatures_on_either_kind_of_chip(acis_s: Run) -> None:
    """With a single response for both kinds, circles on S2 had kT 11.8 +- 0.7."""
    rows = fit_in_memory(acis_s.bundle, radius=rings(acis_s, 200.0), resolution=3).rows
    for kind, at_least in (("BI", 15), ("FI", 4)):
        check_temperatures(acis_s, rows[share_on(acis_s, rows, kind) == 1.0], at_least)
    check_temperatures(acis_s, apart(acis_s.rows, acis_s.distance(acis_s.rows)), at_least=15)


def check_temperatures(run: Run, rows: NDArray, at_least: int) -> None:
    """Check the temperatures of circles that share no photons."""
    deviation = deviations(rows, run.truth["kT"])
    deviation = deviation[np.isfinite(deviation)]
    n, sum_sq = len(deviation), float(np.sum(deviation**2))
    inside = int(np.sum(np.abs(deviation) < 1))
    half = 0.5 * (rows["kT_hi"] - rows["kT_lo"]) / rows["kT"]
    log_mean, log_error = weighted(np.log(rows["kT"][np.isfinite(half)]), half[np.isfinite(half)])
    log.info(
        f"{n} circles: chi^2 {sum_sq:.1f}, {inside} within 1 sigma, kT {np.exp(log_mean):.2f} +- "
        f"{np.exp(log_mean) * log_error:.2f}, goodness {rows['goodness'].mean():+.2f} +- "
        f"{rows['goodness'].std():.2f}"
    )
    assert n >= at_least
    assert chi2.sf(sum_sq, n) > UNLIKELY
    assert binom.sf(inside - 1, n, 0.683) > UNLIKELY
    assert binom.cdf(inside, n, 0.683) > UNLIKELY
    assert abs(log_mean - np.log(run.truth["kT"])) < 3.3 * log_error
    assert abs(rows["goodness"].mean()) < 3.3 / np.sqrt(len(rows)) + 0.2
    assert rows["goodness"].std() < 1.5


def test_norms_are_the_truth(acis_i: Run, mixed: Run) -> None:
    for run in (acis_i, mixed):
        check_norms(run, fit_in_memory(run.bundle, radius=rings(run, 200.0), resolution=3).rows, 0.008)


def test_norms_on_either_kind_of_chip(acis_s: Run) -> None:
    fitted = fit_in_memory(acis_s.bundle, radius=rings(acis_s, 200.0), resolution=3).rows
    for kind, largest_error in (("BI", 0.012), ("FI", 0.03)):
        check_norms(acis_s, fitted[share_on(acis_s, fitted, kind) == 1.0], largest_error)
    check_norms(acis_s, fitted, 0.012)


def check_norms(run: Run, fitted: NDArray, largest_error: float) -> None:
    """Check the norms in rings of circles around the cluster, each within its errors, and all together."""
    true = run.true_norm(fitted)
    ratio, error = fitted["norm"] / true, 0.5 * (fitted["norm_hi"] - fitted["norm_lo"]) / true
    distance = run.distance(fitted)
    arcmin = run.bundle.pixel_scale_arcsec / 60.0
    low, high = FRAME_TRANSFER - TOLERANCE, FRAME_TRANSFER + EFFICIENCY + TOLERANCE
    for ring in np.unique(fitted["radius"]):
        of_ring = fitted["radius"] == ring
        mean, sigma = weighted(ratio[of_ring], error[of_ring])
        log.info(f"{distance[of_ring].mean() * arcmin:.1f}': norm/truth {mean:.3f} +- {sigma:.3f}")
        assert low - 3.0 * sigma < mean < high + 3.0 * sigma
    mean, sigma = weighted(ratio, error)
    log.info(
        f"all: norm/truth {mean:.3f} +- {sigma:.3f}, "
        f"chi^2 {np.sum(((ratio - mean) / error) ** 2):.1f} of {len(ratio)}"
    )
    assert sigma < largest_error
    assert low - 2.0 * sigma < mean < high + 2.0 * sigma
    assert chi2.sf(np.sum(((ratio - mean) / error) ** 2), len(ratio) - 1) > UNLIKELY


def test_maps_show_the_temperature(acis_i: Run) -> None:
    assert main(["make-temperature-map", "-c", str(acis_i.layout.cluster_dir.with_suffix(".ini"))]) == 0
    kT = fits.getdata(acis_i.layout.map("temperature"))
    row, col = (round(value) for value in acis_i.centre)
    middle = kT[row - 30 : row + 30, col - 30 : col + 30]
    assert np.isfinite(middle).mean() > 0.95
    assert np.nanmedian(middle) == pytest.approx(acis_i.truth["kT"], rel=0.1)
    header = fits.getheader(acis_i.layout.map("temperature"))
    scale = WCS(header).proj_plane_pixel_scales()[0].to_value(units.arcsec)
    assert scale == pytest.approx(1.968, rel=1e-3)

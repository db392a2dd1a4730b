"""Stages 1 to 7 on events of a simulator that is not ours: MARX, an independent ray trace of Chandra.

A cluster of one temperature, seven point sources, sky and particles, in three observations; the truth is in
truth.json beside the events. What is measured goes to the log (the table of benchmarks/README.md):

    pytest tests/test_marx.py --log-cli-level=INFO | grep test_marx
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
from numpy.typing import NDArray
from scipy.stats import binom, chi2

from pyxt_hpc.bundle import Bundle, read_bundle
from pyxt_hpc.chandra.events import read_events
from pyxt_hpc.chandra.geometry import measure_geometry, with_aspect
from pyxt_hpc.chandra.regions import read_regions
from pyxt_hpc.cli import main
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.in_memory import fit_in_memory
from pyxt_hpc.store import Status, read_results

log = logging.getLogger(__name__)

NAME = "marx"
UNLIKELY = 1e-3
"""Probability that a statement about right numbers fails by chance. The files do not change: none does."""

FRAME_TRANSFER, EFFICIENCY = 1.006, 0.010
"""Norms come out this high for reasons of the simulation, its README says: photons in frame transfer, which
EXPOSURE does not count, and up to this much more where I2's efficiency is above that of the ARF's chip."""

TOLERANCE = 0.01  # of norms, beyond that


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
        """Of each circle: its pixels' share of the beta-model on the whole sky."""
        pixel, core = self.bundle.pixel_scale_arcsec, self.truth["core_radius_arcsec"]
        slope = 3.0 * self.truth["beta"] - 0.5
        beyond = 300  # circles may reach over the image
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
    """Of the temperatures, in units of the error on the side of the truth."""
    side = np.where(rows["kT"] > kT, rows["kT"] - rows["kT_lo"], rows["kT_hi"] - rows["kT"])
    return (rows["kT"] - kT) / side


def weighted(ratio: NDArray, error: NDArray) -> tuple[float, float]:
    """Mean and its error."""
    weight = error**-2.0
    return float(np.sum(weight * ratio) / weight.sum()), float(weight.sum() ** -0.5)


def apart(rows: NDArray, distance: NDArray) -> NDArray:
    """Circles that share no pixel, taken from the centre outwards: without regard to their counts."""
    chosen: list[int] = []
    for i in np.argsort(distance, kind="stable"):
        near = rows[chosen]
        gap = np.hypot(near["row"] - rows["row"][i], near["col"] - rows["col"][i])
        if np.all(gap > near["radius"] + rows["radius"][i] + 1):
            chosen.append(int(i))
    return rows[chosen]


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
    """Put observations where the pipeline wants them, and run it; each set of them once."""
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
        for suffix in ("arf", "rmf"):
            _unpack(marx / f"acisI.{suffix}.gz", layout.observation(obsid) / f"{obsid}.{suffix}")
        # blank sky is the same for both: it is put where the observation looked by its chip coordinates
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
    assert main(["make-temperature-map", "-c", str(config)]) == 0
    results = read_results(layout.results)
    rows = results.rows[results.status == Status.DONE]
    return Run(layout, truth, read_bundle(layout.bundle), rows)


@pytest.fixture(scope="module")
def acis_i(observe: Callable[..., Run]) -> Run:
    """Both observations with ACIS-I."""
    return observe("9001", "9002")


def test_sources_are_found_and_no_other(acis_i: Run) -> None:
    true = SkyCoord([(s["ra"], s["dec"]) for s in acis_i.truth["sources"]], unit="deg")
    proposed = SkyCoord([s.points[0] for s in read_regions(acis_i.layout.sources_reg).shapes], unit="deg")
    nearest, away, _ = proposed.match_to_catalog_sky(true)
    log.info(f"{len(proposed)} sources, farthest {away.arcsec.max():.2f} arcsec from the truth")
    assert sorted(nearest) == list(range(7))
    assert away.arcsec.max() < 1.0


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
    """Measured from the events alone; 8 arcsec are 16 pixels."""
    events = read_events(marx / f"acisf0{obsid}_evt2.fits.gz")
    chips = np.unique(events.ccd_id).tolist()
    seen = measure_geometry(events, chips)
    told = with_aspect(seen, [marx / f"pcadf0{obsid}_asol1.fits.gz"]).dither_at(seen.time)
    difference = seen.dither - (told - told.mean(axis=0))
    rms = np.sqrt(np.mean(difference**2, axis=0))
    log.info(f"{obsid}: dither rms {seen.dither.std(axis=0).round(2)}, off by {rms.round(3)} pixels")
    assert np.all(seen.dither.std(axis=0) > 10)
    assert np.all(rms < 0.1)


def test_temperatures_are_the_truth_within_their_errors(acis_i: Run) -> None:
    check_temperatures(acis_i, at_least=30)


def check_temperatures(run: Run, at_least: int) -> None:
    """Of every circle that shares no photon with another."""
    rows = apart(run.rows, run.distance(run.rows))
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
    assert binom.sf(inside, n, 0.683) < 1 - UNLIKELY
    assert binom.cdf(inside, n, 0.683) > UNLIKELY
    assert abs(log_mean - np.log(run.truth["kT"])) < 3.3 * log_error
    assert abs(rows["goodness"].mean()) < 3.3 / np.sqrt(len(rows)) + 0.2
    assert rows["goodness"].std() < 1.5


def test_norms_are_the_truth(acis_i: Run) -> None:
    check_norms(acis_i, farthest=200.0)


def check_norms(run: Run, farthest: float) -> None:
    """In rings of circles about the cluster, each within its errors, and all together."""
    fitted = fit_in_memory(run.bundle, radius=rings(run, farthest), resolution=3).rows
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
    assert sigma < 0.008
    assert low - sigma < mean < high + sigma
    assert chi2.sf(np.sum(((ratio - mean) / error) ** 2), len(ratio) - 1) > UNLIKELY


def test_maps_show_the_temperature(acis_i: Run) -> None:
    kT = fits.getdata(acis_i.layout.map("temperature"))
    row, col = (round(value) for value in acis_i.centre)
    middle = kT[row - 30 : row + 30, col - 30 : col + 30]
    assert np.isfinite(middle).mean() > 0.95
    assert np.nanmedian(middle) == pytest.approx(acis_i.truth["kT"], rel=0.1)
    header = fits.getheader(acis_i.layout.map("temperature"))
    scale = WCS(header).proj_plane_pixel_scales()[0].to_value(units.arcsec)
    assert scale == pytest.approx(1.968, rel=1e-3)

"""Time and peak memory of the commands for a mosaic of many short observations.

    python -m benchmarks.speed.bench_mosaic [--observations 60] [--resolution 2] [--directory DIR]

Pointings are 7.6 arcmin apart on a square grid, with random rolls and exposures of 6 to 40 ks, as in surveys
of near clusters; every seventh observation has a flare. The crop has 2048^2 pixels. At most 1024 files may be
open. The input takes some minutes and 2 GB, and the products 8 GB. With few observations, find-shocks ends
with an error, since too little of the cluster is seen for a beta model.
"""

import argparse
import os
import resource
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.common import environment
from benchmarks.speed.bench_preprocess import run
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.layout import Layout
from pyxt_hpc.simulate.acis import write
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.simulate.acis.observe import blank_sky, observe, source_radii_arcsec
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import PIXEL_ARCSEC, ClusterTruth, demo_truth
from pyxt_hpc.simulate.demo import SEED, configuration_text

NAME = "mosaic"
SIDE = 2048
SPACING_ARCMIN = 7.6
HALF_FIELD = 480  # pixels around a pointing that an observation can see
BLANK_SKY_EXPOSURE = 6.0  # that of `blank_sky`, over that of the observation
COMMANDS = (
    *("process-data", "propose-regions", "remove-sources", "generate-responses", "crop-data", "create-bins"),
    *("fit-spectra", "status", "make-maps", "report", "results export", "find-shocks"),
)


def make_truth() -> ClusterTruth:
    """A cluster with a large core, which fills most of the fields."""
    truth = demo_truth(field_arcmin=SIDE * PIXEL_ARCSEC / 60.0)
    half = truth.kT.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1] * PIXEL_ARCSEC
    radius = np.hypot(x, y)
    norm = (1.0 + (radius / 420.0) ** 2) ** -1.15 + 3.0 * (1.0 + (radius / 60.0) ** 2) ** -1.36
    kT = 5.0 + 3.0 * radius**2 / (radius**2 + 300.0**2)
    return replace(truth, norm=0.9 * norm / norm.sum(), kT=kT)


def make_plans(truth: ClusterTruth, n: int) -> list[ObservationPlan]:
    """Observations on the points of a grid that are nearest to the centre."""
    rng = np.random.default_rng(SEED)
    side = int(np.ceil(np.sqrt(n)))
    points = np.indices((side, side)).reshape(2, -1).T - 0.5 * (side - 1)
    points = points[np.argsort(np.hypot(*points.T), kind="stable")][:n]
    return [
        ObservationPlan(
            obsid=str(6001 + 3 * i),
            ra_pnt=truth.ra + east * SPACING_ARCMIN / 60.0 / np.cos(np.radians(truth.dec)),
            dec_pnt=truth.dec + north * SPACING_ARCMIN / 60.0,
            roll_deg=360.0 * rng.random(),
            exposure_s=float(np.exp(rng.uniform(np.log(6e3), np.log(40e3)))),
            flare=i % 7 == 3,
            start_s=200e6 + 4.7e6 * i,
        )
        for i, (east, north) in enumerate(points)
    ]


def around(truth: ClusterTruth, plan: ObservationPlan) -> ClusterTruth:
    """The part of the truth that an observation can see, to save time."""
    middle = np.array(truth.wcs.wcs_world2pix(plan.ra_pnt, plan.dec_pnt, 1), int)
    first = np.maximum(middle - HALF_FIELD, 0)
    columns, rows = (slice(a, m + HALF_FIELD) for a, m in zip(first, middle, strict=True))
    wcs = truth.wcs.deepcopy()
    wcs.wcs.crpix = wcs.wcs.crpix - first
    parts = {name: getattr(truth, name)[rows, columns].copy() for name in ("kT", "norm", "abundance")}
    return replace(truth, wcs=wcs, **parts)


def prepare(folder: Path, n: int) -> Path:
    """Write the observations and the configuration."""
    truth = make_truth()
    plans = make_plans(truth, n)
    arf, rmf = on_axis_arf(), gaussian_rmf()
    write.write_drawn_regions(folder / NAME, truth, source_radii_arcsec(truth, plans))
    for i, plan in enumerate(plans):
        rng, seen = np.random.default_rng([SEED, i]), around(truth, plan)
        write.write_observation(folder / NAME, plan, observe(seen, plan, arf, rng))
        blank, live_s = blank_sky(seen, plan, arf, rng), BLANK_SKY_EXPOSURE * plan.live_s
        write.write_blank_sky(folder / NAME, plan, blank, live_s, nominal=False)
        write.write_responses(folder / NAME, plan, arf, rmf)
    config = folder / f"{NAME}.ini"
    config.write_text(configuration_text(NAME, truth, plans), encoding="utf-8")
    Layout.of(read_config(config)).sources_reg.unlink()  # propose-regions finds them
    return config


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--observations", type=int, default=60)
    parser.add_argument("--resolution", default="2")
    parser.add_argument("--directory", type=Path, help="kept, and used again; default: a temporary one")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    print(environment())
    extra = {"fit-spectra": ["--resolution", given.resolution, "--num-cpus", "1", "--yes"]}
    with tempfile.TemporaryDirectory(prefix="bench-mosaic-") as scratch:
        folder = given.directory or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / f"{NAME}.ini"
        if not config.exists():
            # In a process of its own: the peak memory of a command counts from the fork of this one.
            with ProcessPoolExecutor(1) as pool:
                pool.submit(prepare, folder, given.observations).result()
        for command in COMMANDS:
            words = [*command.split(), *extra.get(command, [])]
            seconds, processor, peak = run(words, config, os.environ)
            print(f"{command:20s} {seconds:7.1f} s ({processor:6.1f} s of CPU), {peak:6.0f} MiB", flush=True)


if __name__ == "__main__":
    main()

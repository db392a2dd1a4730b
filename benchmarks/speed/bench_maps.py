"""Time and memory of a complete set of maps, with a check of one map against the results.

    python -m benchmarks.speed.bench_maps [--size 2048] [--resolution 2] [--directory DIR] [--parts]

The cluster has 4 million counts (beta model, core 6% of the image) in two observations, with gaps between
chips and excluded sources. The circles have S/N 40, and the results store has artificial fits, 5% of them
bad. The command `pyxt-hpc make-maps --all` runs in its own process. Its wall-clock time and its CPU time,
which is more reliable on a busy machine, are measured. Memory is the largest sum of the proportional set
sizes (PSS) of the process and its children, read 5 times per second. With --parts, the same work is repeated
in one process, and the time of each part is measured.
"""

import argparse
import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from benchmarks.common import environment
from pyxt_hpc.binning.circles import prepare_circle_sums, scale_map_rows
from pyxt_hpc.binning.lattice import lattice
from pyxt_hpc.bundle import Bundle, BundleObservation, sort_by_pixel, write_bundle
from pyxt_hpc.config.cluster import RESOLUTION_STEP, read_config
from pyxt_hpc.fit.inputs import scale_map_settings
from pyxt_hpc.images import write_image
from pyxt_hpc.layout import Layout
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.store.rows import REGION_DTYPE, Status, blank_rows
from pyxt_hpc.store.writer import ResultsStore

TARGET, COUNTS, BACKGROUND, SCALE = 40.0, 4e6, 0.05, 0.2
EXPOSURE_S, N_OBSERVATIONS, PIXEL_ARCSEC, SEED = 1e5, 2, 1.968, 20261121

CONFIG = """[cluster_info]
name = bench
observation_ids = {obsids}
redshift = 0.1
hydrogen_column_density = 0.05
abundance = 0.3
signal_to_noise_threshold = {target}
"""


def radii(size: int) -> np.ndarray:
    """Distance of every pixel from the middle [pixels]."""
    y, x = np.indices((size, size), np.float32)
    return np.hypot(y - size / 2, x - size / 2)


def live_pixels(size: int, rng: np.random.Generator) -> np.ndarray:
    """Mask of live pixels, without two gaps between chips and a hundred holes."""
    mask = np.ones((size, size), np.uint8)
    mask[size // 3 : size // 3 + 6] = 0
    mask[:, 2 * size // 3 : 2 * size // 3 + 6] = 0
    y, x = np.indices((21, 21)) - 10
    hole = np.hypot(y, x) < 6
    for row, col in rng.integers(0, size - 21, (100, 2)):
        mask[row : row + 21, col : col + 21][hole] = 0
    return mask


def make_cluster(directory: Path, size: int, resolution: int) -> Path:
    """Write configuration, bundle, scale map and results; return the path of the configuration."""
    rng = np.random.default_rng(SEED)
    obsids = [str(1 + i) for i in range(N_OBSERVATIONS)]
    config_path = directory / "bench.ini"
    config_path.write_text(CONFIG.format(obsids=", ".join(obsids), target=TARGET))
    config = read_config(config_path)
    mask, shape = live_pixels(size, rng), (size, size)
    profile = (1 + (radii(size) / (0.06 * size)) ** 2) ** -1.5
    profile *= COUNTS / profile.sum() / N_OBSERVATIONS
    observations = []
    for obsid in obsids:
        counts = rng.poisson(profile + BACKGROUND / N_OBSERVATIONS) * mask
        blank = rng.poisson(BACKGROUND / N_OBSERVATIONS / SCALE, shape) * mask
        events = []
        for image in (counts, blank):
            pixel = np.repeat(np.arange(image.size), image.ravel())
            channel = rng.integers(48, 548, len(pixel)).astype(np.int16)
            events += sort_by_pixel(pixel, channel, image.size)
        observations.append(
            BundleObservation(
                obsid, EXPOSURE_S, SCALE, mask, np.array([0.7, 1.5, 3.0, 5.0, 8.0]),
                np.ones((5, *shape), np.float32), *events, on_axis_arf(), gaussian_rmf(),
            )
        )  # fmt: skip
    counts = sum(np.diff(o.event_indptr).reshape(shape) for o in observations).astype(np.int32)
    blank = sum(np.diff(o.background_indptr).reshape(shape) for o in observations).astype(np.float32)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 20.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [size / 2] * 2, [-PIXEL_ARCSEC / 3600, PIXEL_ARCSEC / 3600]
    header = wcs.to_header_string()
    layout = Layout.of(config)
    bundle = write_bundle(
        layout.bundle,
        Bundle(
            "bench", 0.1, 0.05, 0.3, "phabs", "angr", 0.7, 8.0, header, PIXEL_ARCSEC,
            counts, SCALE * blank, SCALE**2 * blank, mask, tuple(observations),
        ),
    )  # fmt: skip
    radius, signal_to_noise = scale_map_rows(
        prepare_circle_sums(counts, bundle.background, bundle.background, mask), 0, size, TARGET
    )
    for path, image in ((layout.scale_map, radius), (layout.signal_to_noise_map, signal_to_noise)):
        write_image(
            path, image.astype(np.float32), header, unit="pixel", comment="",
            bundle_fingerprint=bundle.fingerprint, settings=scale_map_settings(config),
        )  # fmt: skip
    write_results(layout.results, bundle, radius.astype(np.float32), resolution)
    return config_path


def write_results(path: Path, bundle: Bundle, radius: np.ndarray, resolution: int) -> None:
    """Write fits with kT decreasing outwards, norms that follow the brightness, errors of 8%, and 5% bad."""
    rng = np.random.default_rng(SEED + 1)
    row, col = lattice(radius > 0, RESOLUTION_STEP[resolution])
    regions = np.zeros(len(row), REGION_DTYPE)
    regions["region"], regions["row"], regions["col"] = 1 + np.arange(len(row)), row, col
    regions["radius"] = radius[row, col]
    size = radius.shape[0]
    far = radii(size)[row, col] / (0.06 * size)
    rows = blank_rows(regions)
    values = {"kT": 8.0 / (1 + 0.1 * far), "norm": 1e-4 * (1 + far**2) ** -1.5 * regions["radius"] ** 2}
    for name, value in values.items():
        rows[name] = value * (1 + 0.08 * rng.standard_normal(len(row)))
        rows[f"{name}_lo"], rows[f"{name}_hi"] = rows[name] * 0.93, rows[name] * 1.09
    rows["abundance"], rows["nH"] = bundle.abundance, bundle.nH
    rows["counts"], rows["background_counts"], rows["observations"][:, 0] = 2000, 300, 3
    rows["exposure"], rows["dof"], rows["bins"], rows["statistic"] = 2e5, 100, 102, 100.0
    rows["goodness"] = rng.standard_normal(len(row))
    status = np.where(rng.random(len(row)) < 0.05, Status.BAD, Status.DONE).astype(np.uint8)
    settings = {
        "bundle": bundle.fingerprint, "resolution": resolution, "abundance_bounds": None, "nH_bounds": None,
        "statistic": "wstat",
    }  # fmt: skip
    with ResultsStore.create(path, regions=regions, fingerprint="0" * 64, settings=settings) as store:
        store.write(np.arange(len(rows)), rows, status)


def memory(pid: int) -> int:
    """Proportional set size of a process and its children [bytes]."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = sum(memory(int(child)) for child in children)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            total += 1024 * int(line.split()[1])
    return total


def run(command: list[str]) -> tuple[float, float, float, str]:
    """Run a command; return wall-clock time [s], CPU time [s], largest memory [GiB] and output."""
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        while process.poll() is None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a child has just ended
                peak = max(peak, memory(process.pid))
            time.sleep(0.2)
        seconds = time.perf_counter() - start
        said.seek(0)
        output = said.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}\n{output}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, used.ru_utime + used.ru_stime, peak / 2**30, output


def check(config_path: Path) -> None:
    """Exit if the temperature map differs from the results."""
    from pyxt_hpc.maps.fitted import read_fitted_regions

    regions = read_fitted_regions(read_config(config_path))
    painted = fits.getdata(regions.layout.map("temperature"))
    at = regions.rows["row"], regions.rows["col"]
    if not np.array_equal(painted[at], regions.rows["kT"].astype(np.float32)):
        raise SystemExit("the temperature map differs from the results: times mean nothing")


def parts(config_path: Path) -> None:
    """Print the CPU time of every part."""
    from pyxt_hpc.maps import make, product
    from pyxt_hpc.maps.fitted import read_fitted_regions
    from pyxt_hpc.plots.ds9 import region_file as ds9
    from pyxt_hpc.plots.maps import pictures

    clock = time.process_time
    seconds: Counter[str] = Counter()
    write = product.write_image

    def timed_write(*args: object, **kwargs: object) -> None:
        start = clock()
        write(*args, **kwargs)
        seconds["FITS files"] += clock() - start

    product.write_image = timed_write
    first = start = clock()
    regions = read_fitted_regions(read_config(config_path))
    seconds["reading"] = clock() - start
    start = clock()
    scene = pictures.Scene(regions.bundle.wcs_header, regions.brightness.value, 1.8).thinned()
    seconds["circle sums"] = clock() - start
    start = clock()
    boxes = ds9.Boxes.of(regions)
    seconds["DS9 files"] = clock() - start
    made = (
        ("fitted parameters", make.make_maps(regions, ["fits"])),
        ("brightness", make.make_maps(regions, ["brightness"])),
        ("gradients", make.make_maps(regions, ["gradient"])),
        ("residuals", make.make_maps(regions, ["residual"])),
        ("pressure and entropy", make.make_maps(regions, ["gas"])),
    )
    for label, products in made:
        while True:
            start, written = clock(), seconds["FITS files"]
            found = next(products, None)
            seconds[label] += clock() - start - (seconds["FITS files"] - written)
            if found is None:
                break
            start = clock()
            picture = pictures.Picture.of(found)
            seconds["preparing pictures"] += clock() - start
            start = clock()
            pictures.draw_picture(picture, scene, regions.layout.picture(found.path))
            seconds["drawing pictures"] += clock() - start
            if found.of_regions is not None:
                start = clock()
                boxes.write(found, regions.layout.ds9_regions(found.path))
                seconds["DS9 files"] += clock() - start
    for label, value in [*seconds.items(), ("all", clock() - first)]:
        print(f"  {label:<20}{value:7.1f} s")


def main() -> None:
    """Print environment, size of the job, time and memory."""
    parser = argparse.ArgumentParser(description="Time and memory of a whole set of maps.")
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--resolution", type=int, default=2, choices=RESOLUTION_STEP)
    parser.add_argument(
        "--directory", type=Path, help="keep the cluster here, and use it again if it is there"
    )
    parser.add_argument("--parts", action="store_true")
    given = parser.parse_args()
    print(environment())
    with tempfile.TemporaryDirectory() as scratch:
        directory = given.directory or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        config_path = directory / "bench.ini"
        if not config_path.exists():
            config_path = make_cluster(directory, given.size, given.resolution)
        command = [sys.executable, "-m", "pyxt_hpc", "make-maps", "--all", "-c", str(config_path)]
        seconds, processor_seconds, gigabytes, output = run(command)
        check(config_path)
        print(f"{given.size}^2, resolution {given.resolution}: {output.splitlines()[0]}")
        made = list(Layout.of(read_config(config_path)).main_output.iterdir())
        for suffix in (".fits", ".png", ".reg"):
            sizes = [path.stat().st_size for path in made if path.suffix == suffix]
            print(f"  {len(sizes)} files {suffix}, {sum(sizes) / 2**20:.0f} MiB")
        print(f"  make-maps --all: {seconds:.1f} s, {processor_seconds:.1f} s of CPU, {gigabytes:.2f} GiB")
        if given.parts:
            parts(config_path)


if __name__ == "__main__":
    main()

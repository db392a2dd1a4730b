"""Shared memory of one node for the fits of a deep cluster, and the time of the extraction and fits.

    python -m benchmarks.speed.bench_memory [--observations N]

There are 20 observations with 2 million events each in a crop of 1000 x 1000 pixels (33 arcmin), background
files with equal numbers of events, and vignetting at six energies. The memory is that of the arrays that the
ranks of a node share; each rank also needs a few megabytes. Regions have a radius of 12 pixels.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from pyxt_hpc.bundle import Bundle, BundleObservation, sort_by_pixel
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.store.rows import REGION_DTYPE

SHAPE, EVENTS, REGIONS = (1000, 1000), 2_000_000, 2000


def observation(number: int) -> BundleObservation:
    """Observation with events of a steep spectrum, uniform over the image."""
    rng = np.random.default_rng(number)

    def events() -> tuple[np.ndarray, np.ndarray]:
        channel = (48 + 500 * rng.random(EVENTS) ** 2).astype(np.int16)
        return sort_by_pixel(rng.integers(0, SHAPE[0] * SHAPE[1], EVENTS), channel, SHAPE[0] * SHAPE[1])

    source, background = events(), events()
    return BundleObservation(
        obsid=str(number), exposure_s=5e4, background_scale=0.3, mask=np.ones(SHAPE, np.uint8),
        vignetting_keV=np.array([0.7, 1.49, 3.8, 5.0, 6.6, 8.0]),
        vignetting=np.ones((6, *SHAPE), np.float32),
        event_indptr=source[0], event_channel=source[1],
        background_indptr=background[0], background_channel=background[1],
        arf=on_axis_arf(), rmf=gaussian_rmf(),
    )  # fmt: skip


def main() -> None:
    """Print sizes and times."""
    parser = argparse.ArgumentParser(description="Memory of the fits of many observations.")
    parser.add_argument("--observations", type=int, default=20)
    n = parser.parse_args().observations
    observations = tuple(observation(i) for i in range(n))
    images = np.zeros(SHAPE, np.float32)
    counts = sum(np.diff(o.event_indptr).reshape(SHAPE) for o in observations)
    bundle = Bundle(
        name="A", redshift=0.1, nH=0.05, abundance=0.3, absorption="phabs", abundance_table="angr",
        energy_min_keV=0.7, energy_max_keV=8.0, wcs_header="", pixel_scale_arcsec=1.968,
        counts=counts.astype(np.int32), background=images, background_variance=images,
        mask=np.ones(SHAPE, np.uint8), observations=observations,
    )  # fmt: skip
    rng = np.random.default_rng(1)
    regions = np.zeros(REGIONS, REGION_DTYPE)
    regions["region"] = np.arange(1, REGIONS + 1)
    regions["row"], regions["col"] = rng.integers(20, 980, (2, REGIONS))
    regions["radius"] = 12.0
    config = ClusterConfig(Path("A.ini"), "A", tuple(o.obsid for o in observations), 0.1, 0.05, 0.3)
    start = time.perf_counter()
    fits = RegionFits.of(bundle, config, regions)
    made = time.perf_counter() - start
    _, arrays = fits.to_shared()
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        kind = name.rpartition("/")[2]
        sizes[kind] = sizes.get(kind, 0) + array.nbytes
    for kind, size in sorted(sizes.items(), key=lambda item: -item[1])[:8]:
        print(f"{kind:18s} {size / 2**20:8.1f} MiB")
    print(f"{'all shared':18s} {sum(sizes.values()) / 2**20:8.1f} MiB, made in {made:.1f} s")
    fits.fit(np.arange(1))
    start = time.process_time()
    rows = fits.fit(np.arange(REGIONS))
    each = (time.process_time() - start) / REGIONS
    print(f"{1 / each:.0f} regions/s of {np.median(rows['counts']):.0f} counts, {rows['bins'][0]} bins")


if __name__ == "__main__":
    main()

"""Time and peak memory of stages 1 to 4, each run in its own process as by a user.

    python -m benchmarks.speed.bench_preprocess [--observations 20] [--events 2000000] [--directory DIR]

Every observation is simulated with its own pointing and roll and with independent events; every third one has
a flare. Event files are gzipped as in the archive. Kernels are first compiled on a small cluster, and this
time is printed separately.
"""

import argparse
import gzip
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pyxt_hpc.layout import Layout
from pyxt_hpc.simulate.acis.observe import demo_plans, simulate_cluster
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import demo_truth
from pyxt_hpc.simulate.demo import NAME, SEED, configuration_text

STAGES = ("process-data", "propose-regions", "remove-sources", "generate-responses", "crop-data")
EVENTS_PER_SECOND = 9.9  # rate of the demo's first observation
POINTINGS_DEG = 0.02  # rms distance from the cluster in each coordinate


def make_plans(observations: int, events: int) -> list[ObservationPlan]:
    """Plans of observations with random pointings near the cluster and random rolls."""
    rng = np.random.default_rng(SEED)
    first = demo_plans()[0]
    return [
        replace(
            first,
            obsid=str(int(first.obsid) + n),
            ra_pnt=first.ra_pnt + POINTINGS_DEG * rng.standard_normal(),
            dec_pnt=first.dec_pnt + POINTINGS_DEG * rng.standard_normal(),
            roll_deg=360.0 * rng.random(),
            exposure_s=events / EVENTS_PER_SECOND,
            flare=n % 3 == 2,
            start_s=first.start_s + 5e6 * n,
        )
        for n in range(observations)
    ]


def prepare(folder: Path, observations: int, events: int) -> Path:
    """Write the observations and the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    truth, plans = demo_truth(), make_plans(observations, events)
    layout = Layout(folder / NAME, NAME)
    for n, plan in enumerate(plans):
        # One file at a time is compressed, so that the disk never holds all files uncompressed.
        simulate_cluster(folder / NAME, truth, [plan], seed=SEED + n, nominal_blank_sky=True)
        raw = next(layout.observation(plan.obsid).glob("primary/*evt2.fits"))
        with raw.open("rb") as plain, gzip.open(f"{raw}.gz", "wb", compresslevel=1) as packed:
            shutil.copyfileobj(plain, packed, 1 << 22)
        raw.unlink()
    for drawn in (layout.sources_reg, layout.crop_reg):
        drawn.unlink()
    config = folder / f"{NAME}.ini"
    config.write_text(configuration_text(NAME, truth, plans), encoding="utf-8")
    return config


def prepare_apart(folder: Path, observations: int, events: int) -> Path:
    """Call `prepare` in its own process, since the peak memory of a command includes that of its parent."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(prepare, (folder, observations, events))


def run(words: Sequence[str], config: Path, environment: Mapping[str, str]) -> tuple[float, float, float]:
    """Run one command; return wall-clock time [s], CPU time [s] and peak memory [MiB]."""
    start = time.perf_counter()
    command = [sys.executable, "-P", "-m", "pyxt_hpc", *words, "-c", str(config)]
    log = config.with_name(f"{words[0]}.log")
    with (
        log.open("w", encoding="utf-8") as said,
        subprocess.Popen(command, stdout=said, stderr=said, env=environment) as child,
    ):
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {child.returncode}: see {log}")
    seconds = time.perf_counter() - start
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def compile_kernels(environment: Mapping[str, str]) -> float:
    """Compile kernels; return the CPU time [s] of a first run minus that of a second run."""
    with tempfile.TemporaryDirectory(prefix="bench-preprocess-") as folder:
        config = prepare_apart(Path(folder), 1, 200_000)
        cold, warm = (
            sum(run([stage, "--force"], config, environment)[1] for stage in STAGES) for _ in range(2)
        )
        return cold - warm


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--observations", type=int, default=20)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--directory", type=Path, help="kept, and used again; default: a temporary one")
    arguments = parser.parse_args()
    folder = arguments.directory or Path(tempfile.mkdtemp(prefix="bench-preprocess-"))
    with tempfile.TemporaryDirectory(prefix="bench-preprocess-numba-") as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        print(f"kernels are compiled in {compile_kernels(environment):.1f} s of a processor, once")
        config = folder / f"{NAME}.ini"
        if not config.exists():
            start = time.perf_counter()
            prepare_apart(folder, arguments.observations, arguments.events)
            print(f"simulated in {time.perf_counter() - start:.0f} s", flush=True)
        results = []
        for stage in STAGES:
            results.append(run([stage, "--force"], config, environment))
            print(
                "{:20s} {:7.1f} s ({:6.1f} s of a processor), {:6.0f} MiB".format(stage, *results[-1]),
                flush=True,
            )
    seconds, processor, peak = np.array(results).T
    print(
        f"{'all':20s} {seconds.sum():7.1f} s ({processor.sum():6.1f} s of a processor), {peak.max():6.0f} MiB"
    )
    if arguments.directory is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

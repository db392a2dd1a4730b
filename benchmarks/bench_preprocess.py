"""Time and peak memory of stages 1 to 4, a process each, as a user runs them.

    python benchmarks/bench_preprocess.py [--observations 20] [--events 2000000] [--directory DIR]

One observation is simulated, a cluster of a million counts under background, and stands for all (links
to its gzipped event file and to its blank-sky file): reading, arithmetic and writing are what they would be.
"""

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from pyxt_hpc.config import config_template
from pyxt_hpc.demo import NAME, SEED, _filled_in
from pyxt_hpc.layout import Layout
from pyxt_hpc.simulate.cluster import demo_truth
from pyxt_hpc.simulate.observe import demo_plans, simulate_cluster

STAGES = ("process-data", "propose-regions", "remove-sources", "generate-responses", "crop-data")
EVENTS_PER_SECOND = 10.4  # of the demo's first observation


def prepare(folder: Path, observations: int, events: int) -> Path:
    """Write the observations and the configuration."""
    truth = demo_truth()
    plan = replace(demo_plans()[0], exposure_s=events / EVENTS_PER_SECOND)
    simulate_cluster(folder / NAME, truth, [plan], seed=SEED)
    layout = Layout(folder / NAME, NAME)
    first = layout.observation(plan.obsid)
    raw = next(first.glob("primary/*evt2.fits"))
    with raw.open("rb") as plain, gzip.open(f"{raw}.gz", "wb", compresslevel=1) as packed:
        shutil.copyfileobj(plain, packed, 1 << 22)
    raw.unlink()
    obsids = [plan.obsid]
    for n in range(1, observations):
        obsid = str(int(plan.obsid) + n)
        obsids.append(obsid)
        for path in [p for p in first.rglob("*") if p.is_file()]:
            name = str(path.relative_to(first)).replace(plan.obsid, obsid)
            target = layout.observation(obsid) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(path)
    for drawn in (layout.sources_reg, layout.crop_reg):
        drawn.unlink()
    config = folder / f"{NAME}.ini"
    plans = [replace(plan, obsid=obsid) for obsid in obsids]
    config.write_text(_filled_in(config_template(NAME), truth, plans), encoding="utf-8")
    return config


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--observations", type=int, default=20)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--directory", type=Path, help="kept, and used again; default: a temporary one")
    arguments = parser.parse_args()
    folder = arguments.directory or Path(tempfile.mkdtemp(prefix="bench-preprocess-"))
    config = folder / f"{NAME}.ini"
    if not config.exists():
        folder.mkdir(parents=True, exist_ok=True)
        prepare(folder, arguments.observations, arguments.events)
    total = 0.0
    for stage in STAGES:
        start = time.perf_counter()
        command = [sys.executable, "-P", "-m", "pyxt_hpc", stage, "-c", str(config), "--force"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(command)} ended with exit code {child.returncode}")
        seconds = time.perf_counter() - start
        total += seconds
        processor = usage.ru_utime + usage.ru_stime
        print(
            f"{stage:20s} {seconds:7.1f} s ({processor:6.1f} s of a processor), "
            f"{usage.ru_maxrss / 1024:6.0f} MiB"
        )
    print(f"{'all':20s} {total:7.1f} s")
    if arguments.directory is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

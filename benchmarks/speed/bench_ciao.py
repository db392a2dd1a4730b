"""Overhead of a stage with CIAO, from calls of trivial tools for 20 observations.

The tools of tests/preprocess/ciao/small_ciao.py are shell scripts that copy one small file. The output has
the wall-clock times of a first run, and of a second run in which all files are up to date.

    python -m benchmarks.speed.bench_ciao [--observations N] [--calls N] [--workers N]
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits

from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.find import find_ciao
from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call
from pyxt_hpc.preprocess.ciao.runner import CallLimits, run_plan

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "preprocess" / "ciao"))
from small_ciao import outside, small_ciao, tool


def plan_of(layout: Layout, events: Path, observations: int, calls: int) -> list[Call]:
    """Plan of calls, in which each call of an observation reads the output of the previous one."""
    plan = []
    for obsid in map(str, range(1, observations + 1)):
        source = events
        for number in range(calls):
            folder = layout.analysis(obsid)
            parameters = {"infile": str(source), "outfile": f"{OUT}/{number}.fits"}
            plan.append(Call("copy", parameters, (source,), (f"{number}.fits",), folder, obsid))
            source = folder / f"{number}.fits"
    return plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--observations", type=int, default=20)
    parser.add_argument("--calls", type=int, default=6, help="of an observation, as stages 1 to 3 have")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prefix = small_ciao(folder / "ciao")
        tool(prefix, "copy", 'cp "$infile" "$outfile"')
        events = folder / "evt2.fits"
        fits.HDUList([fits.PrimaryHDU(np.zeros(100_000))]).writeto(events)
        layout = Layout(folder / "A", "A")
        plan = plan_of(layout, events, options.observations, options.calls)
        for run in ("first run", "up to date"):
            began = time.perf_counter()
            ciao = find_ciao(str(prefix), outside())
            results = run_plan("process-data", plan, layout, ciao, CallLimits(options.workers))
            seconds = time.perf_counter() - began
            done = sum(result.reason is not None for result in results)
            assert done == (len(plan) if run == "first run" else 0)
            print(f"{run}: {seconds:.2f} s, {done} of {len(plan)} calls done")
        assert (layout.analysis("1") / f"{options.calls - 1}.fits").read_bytes() == events.read_bytes()
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, {options.workers} workers")


if __name__ == "__main__":
    main()

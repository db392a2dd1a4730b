"""Completeness, Mach numbers and false candidates of the shock search in simulated fields.

    python -m benchmarks.accuracy.shocks [--fields N] [--seed S] [--signal-to-noise T] [--list]

There are N fields of each kind (`simulated_fronts.py`), with 200 x 200 pixels, 500,000 photons of the
cluster, blank-sky background and holes of point sources. Each gets a scale map, fits at resolution 2 and a
search as in `find-shocks`. A front is found if a candidate lies on its arc; of several such candidates, the
most significant is used. The deviation of its Mach number is in units of the error on the side of the truth.
All further candidates are listed as `other`; without a shock, all candidates are false. A field takes about 1
s.
"""

import argparse
import time

import numpy as np

from benchmarks.accuracy.fitted_in_memory import fit_in_memory
from benchmarks.accuracy.simulated_fronts import (
    SHOCK_FREE,
    FrontTruth,
    point_sources,
    shock_free_cluster,
    shocked_cluster,
)
from benchmarks.common import environment
from pyxt_hpc.maps.shocks.fronts import Front
from pyxt_hpc.maps.shocks.search import search_shocks
from pyxt_hpc.simulate.direct import observe_directly

MACH = (1.5, 2.0, 3.0)
COLUMNS = (
    "Mach",
    "found",
    "most significant of all",
    "median Mach",
    "median of density",
    "deviation, mean",
    "rms",
    "within 1 sigma",
    "2 sigma",
    "other candidates a field",
)


def candidates(truth: FrontTruth, signal_to_noise: float, rng: np.random.Generator) -> list[Front]:
    """Candidates of `find-shocks` in a newly simulated observation."""
    bundle = observe_directly(truth.cluster, rng, mask=point_sources(rng))
    return list(search_shocks(fit_in_memory(bundle, signal_to_noise)).fronts)


def deviation(front: Front, mach: float) -> float:
    """Difference of a Mach number from the truth, in units of the error on the side of the truth."""
    side = front.mach_hi - front.mach if front.mach < mach else front.mach - front.mach_lo
    return (front.mach - mach) / side


def describe(front: Front) -> str:
    """One line about a candidate."""
    return (
        f"row {front.row:.0f} col {front.col:.0f} length {front.length:.0f} Mach {front.mach:.2f} "
        f"+- {0.5 * (front.mach_hi - front.mach_lo):.2f} density {front.density_mach:.2f} "
        f"{front.significance:.1f} sigma"
    )


def print_shocks(arguments: argparse.Namespace) -> None:
    """Print the table of fields with a shock."""
    print("| " + " | ".join(COLUMNS) + " |\n" + "| --- " * len(COLUMNS) + "|")
    for mach in MACH:
        fronts, first, others = [], 0, 0
        for i in range(arguments.fields):
            rng = np.random.default_rng([arguments.seed, round(10 * mach), i])
            truth = shocked_cluster(mach, rng)
            listed = candidates(truth, arguments.signal_to_noise, rng)
            own = [front for front in listed if truth.is_at(front.pixels, front.angle)]
            others += len(listed) - len(own)
            first += listed[:1] == own[:1] != []
            fronts += own[:1]
            if arguments.list:
                print(f"Mach {mach} field {i}:", *map(describe, own), sep="\n    ")
        off = np.array([deviation(front, mach) for front in fronts])
        print(
            f"| {mach} | {len(fronts)}/{arguments.fields} | {first} "
            f"| {np.median([front.mach for front in fronts]):.2f} "
            f"| {np.median([front.density_mach for front in fronts]):.2f} "
            f"| {off.mean():+.2f} | {np.sqrt(np.mean(off**2)):.2f} | {np.mean(np.abs(off) < 1):.2f} "
            f"| {np.mean(np.abs(off) < 2):.2f} | {others / arguments.fields:.1f} |",
            flush=True,
        )


def print_shock_free(arguments: argparse.Namespace) -> None:
    """Print the table of fields without a shock."""
    print("\n| no shock | fields | false candidates |\n| --- | --- | --- |")
    for number, kind in enumerate(SHOCK_FREE):
        false = 0
        for i in range(arguments.fields):
            rng = np.random.default_rng([arguments.seed, 100 + number, i])
            listed = candidates(shock_free_cluster(kind, rng), arguments.signal_to_noise, rng)
            false += len(listed)
            if arguments.list and listed:
                print(f"{kind} field {i}:", *map(describe, listed), sep="\n    ")
        print(f"| {kind} | {arguments.fields} | {false} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Completeness, Mach numbers and false alarms of find-shocks."
    )
    parser.add_argument("--fields", type=int, default=20, help="of every kind")
    parser.add_argument("--seed", type=int, default=20240711, help="of all fields")
    parser.add_argument("--signal-to-noise", type=float, default=40.0, help="of the circles")
    parser.add_argument("--list", action="store_true", help="print the candidates, too")
    arguments = parser.parse_args()
    print(f"{environment()}\n")
    start = time.perf_counter()
    print_shocks(arguments)
    print_shock_free(arguments)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

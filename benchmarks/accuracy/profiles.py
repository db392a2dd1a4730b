"""Are densities and temperatures of spheres found, and do their intervals hold them? Photons to shells.

    python -m benchmarks.accuracy.profiles [--fields N] [--seed S] [--times T] [CLUSTER ...]

N observations of each cluster of `pyxt_hpc.simulate.spherical` in the field of 8 arcmin, T times as long as
usual, each with `profile-analysis`. The truth of a shell is the root of the mean square of the density, and
the spectroscopic-like temperature (Mazzotta et al. 2004). Per quantity: the median over all shells and fields
of found over true with its error, the same of the inner, middle or outer third that is furthest off, and how
often 68% intervals held the truth. The outermost shell is apart: its temperature is also that of the gas
beyond it. Five to ten seconds a field.
"""

import argparse
import os
import platform
import time

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.fit.inputs import config_of
from pyxt_hpc.profiles.analysis import ClusterProfile, ProfileOptions, analyse
from pyxt_hpc.simulate.direct import observe_directly
from pyxt_hpc.simulate.spherical import PRESETS, SphericalCluster

COUNTS = {"relaxed": 5000.0, "cool core": 5000.0, "faint": 300.0}
"""Net counts of an annulus."""

DRAWS = 100


def truth_of(cluster: SphericalCluster, edges_kpc: NDArray) -> dict[str, NDArray]:
    """What every shell really has."""
    edges = np.maximum(edges_kpc, 0.06)
    n_e, kT = cluster.shells(edges)
    return {"n_e": n_e, "kT": kT, "gas_mass": cluster.gas_mass(edges[1:])}


def compared(profile: ClusterProfile, cluster: SphericalCluster) -> dict[str, NDArray]:
    """(n, 3) of every quantity: found over true, whether the interval holds the truth, place of the shell."""
    truth = truth_of(cluster, profile.geometry.edges_kpc)
    found = {name: profile.shells[name] for name in truth}
    place = np.linspace(0.0, 1.0, len(profile.annuli))
    result = {}
    for name, interval in found.items():
        # an open end holds everything on its side
        low = np.where(np.isfinite(interval.low), interval.low, -np.inf)
        high = np.where(np.isfinite(interval.high), interval.high, np.inf)
        held = (low <= truth[name]) & (truth[name] <= high)
        result[name] = np.stack([interval.value / truth[name], held, place], axis=1)
    by_brightness = profile.density.draws(profile.geometry.radius_kpc)
    low, high = np.percentile(by_brightness, (15.865, 84.135), axis=0)
    value = profile.density.best(profile.geometry.radius_kpc)
    held = (low <= truth["n_e"]) & (truth["n_e"] <= high)
    result["n_e by brightness"] = np.stack([value / truth["n_e"], held, place], axis=1)
    return result


def rows_of(name: str, fields: list[dict[str, NDArray]]) -> list[str]:
    """Lines of the table."""
    lines = []
    for quantity in fields[0]:
        inner = np.concatenate([field[quantity][:-1] for field in fields])
        outer = np.stack([field[quantity][-1] for field in fields])
        known = np.isfinite(inner[:, 0])
        ratio, held, place = inner[known].T
        third = np.minimum((3 * place).astype(int), 2)
        parts = [_median(ratio[third == i]) for i in range(3)]
        worst = max(parts, key=lambda part: abs(part[0] - 1.0))
        beyond = outer[np.isfinite(outer[:, 0]), 0]
        cells = [name, quantity, str(len(ratio)), _text(_median(ratio)), _text(worst), f"{held.mean():.1%}"]
        lines.append(f"| {' | '.join([*cells, _text(_median(beyond)), f'{np.mean(~known):.1%}'])} |")
    return lines


def _median(values: NDArray) -> tuple[float, float]:
    """Median with its error: noisy temperatures scatter far to one side."""
    if len(values) < 2:
        return np.nan, np.nan
    return float(np.median(values)), float(1.25 * np.std(np.clip(values, 0.3, 3.0)) / np.sqrt(len(values)))


def _text(part: tuple[float, float]) -> str:
    return f"{part[0]:.3f} +- {part[1]:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clusters", nargs="*", default=list(COUNTS), metavar="CLUSTER")
    parser.add_argument("--fields", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", type=float, default=1.0)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    lines = []
    for name in arguments.clusters:
        preset = PRESETS[name]
        truth, cluster = preset.truth(field_arcmin=8.0), preset.clumps[0].cluster
        start = time.process_time()
        fields = []
        for i in range(arguments.fields):
            rng = np.random.default_rng([arguments.seed, i])
            bundle = observe_directly(truth, rng, exposure_s=arguments.times * preset.exposure_s)
            options = ProfileOptions(counts=arguments.times * COUNTS[name], draws=DRAWS, seed=i)
            fields.append(compared(analyse(bundle, config_of(bundle), options), cluster))
        seconds = (time.process_time() - start) / arguments.fields
        print(f"{name}: {arguments.fields} fields, {seconds:.1f} s of the processor each", flush=True)
        lines += rows_of(name, fields)
    print(
        "| cluster | quantity | shells | found/true | third that is furthest off | 68% intervals that hold "
        "the truth | outermost shell | unknown |\n" + "| --- " * 8 + "|"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()

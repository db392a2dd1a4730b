"""Bias and coverage of densities and temperatures in shells of simulated spherical clusters.

    python -m benchmarks.accuracy.profiles [--fields N] [--seed S] [--times T] [--events DIR] [CLUSTER ...]
    python -m benchmarks.accuracy.profiles --pictures DIR

N observations of each cluster of `pyxt_hpc.simulate.spherical`, with T times the usual exposure and a field
of 8 arcmin, are analysed as by `profile-analysis`. The true values of a shell are the root mean square of the
density and the spectroscopic-like temperature (Mazzotta et al. 2004). For each quantity, the table has the
median of found/true over all shells and fields, the same for the third of the shells (inner, middle or outer)
with the largest deviation, the fraction of 68% intervals that contain the truth, and mean and scatter of
(found - true)/sigma, with sigma on the side of the truth. Shells of a field are correlated, so errors come
from the scatter of fields. The outermost shell is listed separately, since gas beyond it affects its
temperature. A field takes 5 s; with `--events` it takes 15 s, is 14 arcmin wide, and is made from event files
in DIR by stages 1 to 4.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle, read_bundle
from pyxt_hpc.cli import main as pyxt_hpc
from pyxt_hpc.config.cluster import ClusterConfig, read_config
from pyxt_hpc.fit.inputs import config_of
from pyxt_hpc.layout import Layout
from pyxt_hpc.plots.figures import write_figure
from pyxt_hpc.plots.profiles import BRIGHTNESS_SIZE, GAS_SIZE, draw_brightness, draw_gas
from pyxt_hpc.profiles.analysis import ClusterProfile, ProfileOptions, analyse
from pyxt_hpc.profiles.gas.thermodynamics import Intervals
from pyxt_hpc.simulate.acis.observe import simulate_cluster
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import ClusterTruth
from pyxt_hpc.simulate.demo import NAME, configuration_text
from pyxt_hpc.simulate.direct import observe_directly
from pyxt_hpc.simulate.spherical import PRESETS, SphericalCluster

COUNTS = {"relaxed": 5000.0, "cool core": 5000.0, "faint": 300.0}
"""Net counts of each annulus, by cluster."""

DRAWS, AGAIN = 100, 300


def by_events(
    folder: Path, truth: ClusterTruth, plan: ObservationPlan, seed: int
) -> tuple[Bundle, ClusterConfig]:
    """Simulate event files and run stages 1 to 4; return bundle and configuration."""
    simulate_cluster(folder / NAME, truth, [plan], seed)
    path = folder / f"{NAME}.ini"
    path.write_text(configuration_text(NAME, truth, [plan]), encoding="utf-8")
    if pyxt_hpc(["run", "-c", str(path), "--through", "crop-data"]):
        raise SystemExit("stages 1 to 4 failed: their message is above")
    return read_bundle(Layout(folder / NAME, NAME).bundle), read_config(path)


def draw_pictures(folder: Path) -> None:
    """Draw gas profiles of a cool core and a faint cluster, and brightness in a sector of a merger."""
    merger = ProfileOptions(counts=5000.0, sector=(10.0, 60.0))
    for name, options, size, draw in (
        ("cool core", ProfileOptions(counts=COUNTS["cool core"]), GAS_SIZE, draw_gas),
        ("faint", ProfileOptions(counts=COUNTS["faint"]), GAS_SIZE, draw_gas),
        ("merger sector", merger, BRIGHTNESS_SIZE, draw_brightness),
    ):
        preset = PRESETS[name.removesuffix(" sector")]
        truth = preset.truth(field_arcmin=8.0)
        bundle = observe_directly(truth, np.random.default_rng([1, 0]), exposure_s=preset.exposure_s)
        profile = analyse(bundle, config_of(bundle), options)
        write_figure(folder / f"profile-{name.replace(' ', '-')}.png", size, draw, profile)


def truth_of(cluster: SphericalCluster, edges_kpc: NDArray) -> dict[str, NDArray]:
    """True density, temperature and gas mass of each shell."""
    edges = np.maximum(edges_kpc, 0.06)
    n_e, kT = cluster.shells(edges)
    return {"n_e": n_e, "kT": kT, "gas_mass": cluster.gas_mass(edges[1:])}


def compared(profile: ClusterProfile, cluster: SphericalCluster) -> dict[str, NDArray]:
    """(n, 4) for each quantity: found/true, whether the interval contains it, pull, rank of the shell."""
    truth = truth_of(cluster, profile.geometry.edges_kpc)
    found = {name: profile.shells[name] for name in truth}
    radius = profile.geometry.radius_kpc
    truth["n_e by brightness"] = truth["n_e"]
    found["n_e by brightness"] = Intervals.of_draws(
        profile.density.best(radius), profile.density.draws(radius)
    )
    place = np.linspace(0.0, 1.0, len(profile.annuli))
    result = {}
    for name, interval in found.items():
        # An interval with an open end contains all values on this side.
        low = np.where(np.isfinite(interval.low), interval.low, -np.inf)
        high = np.where(np.isfinite(interval.high), interval.high, np.inf)
        off = interval.value - truth[name]
        pull = off / np.where(off > 0, interval.value - low, high - interval.value)
        held = (low <= truth[name]) & (truth[name] <= high)
        result[name] = np.stack([interval.value / truth[name], held, pull, place], axis=1)
    return result


def rows_of(name: str, fields: list[dict[str, NDArray]]) -> list[str]:
    """Rows of the table for one cluster."""
    lines = []
    for quantity in fields[0]:
        known = [field[quantity][np.isfinite(field[quantity][:, 0])] for field in fields]
        inner = [shells[shells[:, 3] < 1.0] for shells in known]
        total = sum(len(field[quantity]) - 1 for field in fields)
        n_inner = sum(map(len, inner))

        def ratio(shells: NDArray) -> float:
            return float(np.median(shells[:, 0])) if len(shells) else np.nan

        thirds = [
            [shells[np.minimum(3 * shells[:, 3], 2).astype(int) == i] for shells in inner] for i in range(3)
        ]
        worst = max(thirds, key=lambda part: abs(ratio(np.concatenate(part)) - 1.0))
        cells = [
            name,
            quantity,
            str(n_inner),
            _told(inner, ratio),
            _told(worst, ratio),
            _told(inner, lambda shells: shells[:, 1].mean(), "{:.1%}"),
            _told(inner, lambda shells: shells[:, 2].mean(), "{:+.2f}"),
            _told(inner, lambda shells: shells[:, 2].std(), "{:.2f}"),
            _told([shells[shells[:, 3] == 1.0] for shells in known], ratio),
            f"{1.0 - n_inner / total:.1%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _told(fields: list[NDArray], number: Callable[[NDArray], float], pattern: str = "{:.3f}") -> str:
    """Text with a number from all shells and its standard error, from a bootstrap of the fields."""
    rng = np.random.default_rng(1)
    again = [
        number(np.concatenate([fields[i] for i in rng.integers(0, len(fields), len(fields))]))
        for _ in range(AGAIN)
    ]
    return f"{pattern.format(number(np.concatenate(fields)))} +- {pattern.format(np.std(again)).strip('+')}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clusters", nargs="*", default=list(COUNTS), metavar="CLUSTER")
    parser.add_argument("--fields", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", type=float, default=1.0)
    parser.add_argument("--events", type=Path, metavar="DIR")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw three profiles there, and no more")
    arguments = parser.parse_args()
    if arguments.pictures:
        draw_pictures(arguments.pictures)
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    lines = []
    for name in arguments.clusters:
        preset = PRESETS[name]
        truth, cluster = preset.truth(field_arcmin=8.0), preset.clumps[0].cluster
        start = time.process_time()
        fields = []
        for i in range(arguments.fields):
            exposure_s = arguments.times * preset.exposure_s
            if arguments.events:
                folder = arguments.events / f"{name.replace(' ', '-')}-{arguments.seed + i}"
                plan = replace(preset.plan, exposure_s=exposure_s)
                bundle, config = by_events(folder, preset.truth(), plan, arguments.seed + i)
            else:
                rng = np.random.default_rng([arguments.seed, i])
                bundle = observe_directly(truth, rng, exposure_s=exposure_s)
                config = config_of(bundle)
            options = ProfileOptions(counts=arguments.times * COUNTS[name], draws=DRAWS, seed=i)
            fields.append(compared(analyse(bundle, config, options), cluster))
        seconds = (time.process_time() - start) / arguments.fields
        print(f"{name}: {arguments.fields} fields, {seconds:.1f} s of the processor each", flush=True)
        lines += rows_of(name, fields)
    print(
        "| cluster | quantity | shells | found/true | third that is furthest off | 68% intervals that hold "
        "the truth | mean pull | its scatter | outermost shell | unknown |\n" + "| --- " * 10 + "|"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()

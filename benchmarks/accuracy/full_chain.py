"""Temperatures from the full chain without user input, compared with those from bundles made from the truth.

    python -m benchmarks.accuracy.full_chain [--seeds 8] [--first 1] [--arcmin 14] [--exposure 1]
        [--resolution 2]

For each seed, the demo's two observations are simulated, the second with a flare; for even seeds, the
blank-sky files have a nominal pointing, as in CALDB. Stages 1 to 4 run as commands, with proposed regions
only. Then all circles of the scale map are fitted twice: from the bundle of the chain, and from a bundle of
the same events with true times, sources, chip edges, pointing and background scales. Biases are in units of
the errors.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray

from benchmarks.accuracy.fitted_in_memory import fit_in_memory
from benchmarks.accuracy.ideal_bundle import ideal_bundle, true_scale, without_flare
from pyxt_hpc.bundle import read_bundle
from pyxt_hpc.chandra.events import read_events
from pyxt_hpc.chandra.regions.sky import read_regions
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.cli import main as pyxt_hpc
from pyxt_hpc.layout import Layout
from pyxt_hpc.simulate.acis.observe import BLANK_SKY_EXPOSURE, demo_plans, simulate_cluster
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import ClusterTruth, demo_truth
from pyxt_hpc.simulate.demo import NAME, configuration_text
from pyxt_hpc.simulate.truth import RINGS_ARCMIN, TruthComparison, compare_with_truth

FLARE_TIME, QUIET_TIME = 0.2, 0.02  # rate of the flare over the quiet rate, as in flares.py
_FOUND_ARCSEC = 5.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Times:
    """Times of an observation after flare cleaning, and its background scale."""

    flare_removed: float
    quiet_lost: float
    scale: float
    error: float
    truth: float
    exposure: float  # over the true exposure of the kept times

    @property
    def pull(self) -> float:
        """Deviation of the scale in units of its stated error."""
        return (self.scale - self.truth) / self.error


@dataclass(frozen=True)
class Seed:
    """Results of one seed: fits from both bundles, times of the observations, and proposed regions."""

    chain: NDArray  # (n,) rows of the store
    ideal: NDArray  # the same circles
    chain_truth: TruthComparison
    ideal_truth: TruthComparison
    difference: Array  # (chain - ideal) in errors
    ring: NDArray[np.int64]
    apart: NDArray[np.bool_]  # circles that share no photons
    times: tuple[Times, ...]
    found: int
    false: int
    true: int
    crop_arcmin: tuple[float, float]
    seconds: float


def simulate(folder: Path, seed: int, arcmin: float, exposure: float) -> tuple[ClusterTruth, tuple]:
    """Write observations and configuration, without region files."""
    truth = demo_truth(field_arcmin=arcmin)
    plans = tuple(replace(plan, exposure_s=exposure * plan.exposure_s) for plan in demo_plans())
    simulate_cluster(folder / NAME, truth, plans, seed=seed, nominal_blank_sky=seed % 2 == 0)
    layout = Layout(folder / NAME, NAME)
    layout.sources_reg.unlink()
    layout.crop_reg.unlink()
    (folder / f"{NAME}.ini").write_text(configuration_text(NAME, truth, plans), encoding="utf-8")
    return truth, plans


def times_of(plan: ObservationPlan, layout: Layout) -> Times:
    """Fractions of flare and quiet time that were removed, and measured and true scale of the kept times."""
    clean = read_events(layout.clean_events(plan.obsid))
    kept = gti_arithmetic.union(list(clean.gti.values()))

    def in_good_time(level: float) -> float:
        return gti_arithmetic.ontime(gti_arithmetic.union(list(without_flare(plan, level).values())))

    def kept_of(level: float) -> float:
        quiet = gti_arithmetic.union(list(without_flare(plan, level).values()))
        return gti_arithmetic.ontime(gti_arithmetic.intersection(quiet, kept))

    whole = gti_arithmetic.ontime(gti_arithmetic.union(list(plan.gti().values())))
    flare = whole - in_good_time(FLARE_TIME)
    flare_kept = gti_arithmetic.ontime(kept) - kept_of(FLARE_TIME)
    facts = json.loads(layout.step_record("crop-data").read_text())["facts"]["observations"][plan.obsid]
    return Times(
        flare_removed=1.0 - flare_kept / flare if flare else np.nan,
        quiet_lost=1.0 - kept_of(QUIET_TIME) / in_good_time(QUIET_TIME),
        scale=facts["background_scale"],
        error=facts["background_scale_error"],
        truth=true_scale(plan, kept),
        exposure=facts["exposure_s"] / (BLANK_SKY_EXPOSURE * plan.live_s) / true_scale(plan, kept),
    )


def apart(rows: NDArray, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mask (n,) of randomly chosen circles without overlaps."""
    chosen = np.zeros(len(rows), dtype=bool)
    at = np.empty((0, 3))
    for i in rng.permutation(len(rows)):
        row, col, radius = (float(rows[name][i]) for name in ("row", "col", "radius"))
        if (np.hypot(at[:, 0] - row, at[:, 1] - col) > at[:, 2] + radius + 1.0).all():
            chosen[i] = True
            at = np.vstack([at, [row, col, radius]])
    return chosen


def run(folder: Path, seed: int, arcmin: float, exposure: float, resolution: int) -> Seed:
    """Simulate, process and fit one seed."""
    start = time.perf_counter()
    truth, plans = simulate(folder, seed, arcmin, exposure)
    if pyxt_hpc(["run", "-c", str(folder / f"{NAME}.ini"), "--through", "crop-data"]):
        raise SystemExit("stages 1 to 4 failed: their message is above")
    layout = Layout(folder / NAME, NAME)
    bundle = read_bundle(layout.bundle)
    ideal = ideal_bundle(folder / NAME, plans, bundle)
    fitted = fit_in_memory(bundle, resolution=resolution)
    again = fit_in_memory(ideal, resolution=resolution, radius=fitted.radius)
    _, mine, theirs = np.intersect1d(fitted.rows["region"], again.rows["region"], return_indices=True)
    rows, others = fitted.rows[mine], again.rows[theirs]
    closed = np.isfinite([r[f"kT_{side}"] for r in (rows, others) for side in ("lo", "hi")]).all(axis=0)
    rows, others = rows[closed], others[closed]
    chain_truth, ideal_truth = (
        compare_with_truth(r, b, folder / NAME / "truth") for r, b in ((rows, bundle), (others, ideal))
    )
    width = 0.5 * (others["kT_hi"] - others["kT_lo"])
    proposed = SkyCoord([s.points[0] for s in read_regions(layout.sources_reg).shapes], unit="deg")
    true = SkyCoord([(s.ra, s.dec) for s in truth.sources], unit="deg")
    near = true[:, np.newaxis].separation(proposed[np.newaxis]).arcsec < _FOUND_ARCSEC
    return Seed(
        chain=rows,
        ideal=others,
        chain_truth=chain_truth,
        ideal_truth=ideal_truth,
        difference=(rows["kT"] - others["kT"]) / width,
        ring=np.searchsorted(RINGS_ARCMIN, chain_truth.distance_arcmin, side="right") - 1,
        apart=apart(rows, np.random.default_rng(seed)),
        times=tuple(times_of(plan, layout) for plan in plans),
        found=int(near.any(axis=1).sum()),
        false=int((~near.any(axis=0)).sum()),
        true=len(true),
        crop_arcmin=tuple(n * bundle.pixel_scale_arcsec / 60.0 for n in bundle.mask.shape[::-1]),
        seconds=time.perf_counter() - start,
    )


def line(seed: int, s: Seed) -> str:
    """One row of the first table."""
    cells = [
        str(seed),
        str(len(s.chain)),
        *(f"{compared.median:+.3f}" for compared in (s.chain_truth, s.ideal_truth)),
        f"{s.difference.mean():+.3f}",
        *(f"{compared.coverage:.3f}" for compared in (s.chain_truth, s.ideal_truth)),
        *(f"{100 * (t.scale / t.truth - 1):+.2f}% ({t.pull:+.1f})" for t in s.times),
        " ".join(f"{100 * t.flare_removed:.1f}%" for t in s.times if np.isfinite(t.flare_removed)),
        " ".join(f"{100 * t.quiet_lost:.1f}%" for t in s.times),
        f"{s.found}/{s.true}, {s.false}",
        "{:.1f} x {:.1f}".format(*s.crop_arcmin),
        f"{s.seconds:.0f} s",
    ]
    return f"| {' | '.join(cells)} |"


def mean(values: list[float]) -> str:
    """Text with the mean over seeds and its error."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):+.3f} +- {error:.3f}"


def rings(seeds: list[Seed]) -> str:
    """Second and third table: results of all seeds, in rings about the centre and in total."""
    kT = [
        "| arcmin | circles | apart | chain: median | mean of those apart | truth-made: median | "
        "mean of those apart | difference: mean | rms of circles | coverage: chain | truth-made |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    rest = [
        "| arcmin | norm/truth: chain | truth-made | goodness: chain | truth-made | its scatter: chain "
        "| truth-made | poor fits: chain | truth-made |",
        f"|{' --- |' * 9}",
    ]
    for k in range(len(RINGS_ARCMIN)):
        total = k == len(RINGS_ARCMIN) - 1
        name = "all" if total else f"{RINGS_ARCMIN[k]:g}-{RINGS_ARCMIN[k + 1]:g}"
        inside = [np.ones(len(s.ring), bool) if total else s.ring == k for s in seeds]
        present = [(s, i) for s, i in zip(seeds, inside, strict=True) if (i & s.apart).any()]
        if not present:
            continue
        chain, ideal = [s.chain_truth.of(i) for s, i in present], [s.ideal_truth.of(i) for s, i in present]
        apart_chain = [s.chain_truth.of(i & s.apart) for s, i in present]
        apart_ideal = [s.ideal_truth.of(i & s.apart) for s, i in present]
        cells = [
            name,
            str(sum(int(i.sum()) for _, i in present)),
            str(sum(int((i & s.apart).sum()) for s, i in present)),
            mean([c.median for c in chain]),
            mean([np.nanmean(c.deviation) for c in apart_chain]),
            mean([c.median for c in ideal]),
            mean([np.nanmean(c.deviation) for c in apart_ideal]),
            mean([np.mean(s.difference[i]) for s, i in present]),
            f"{np.sqrt(np.mean(np.concatenate([s.difference[i] for s, i in present]) ** 2)):.3f}",
            f"{np.mean([c.coverage for c in chain]):.3f}",
            f"{np.mean([c.coverage for c in ideal]):.3f}",
        ]
        kT.append(f"| {' | '.join(cells)} |")
        cells = [
            name,
            *(mean([np.nanmean(c.norm_ratio) for c in found]) for found in (chain, ideal)),
            *(mean([np.nanmean(c.goodness) for c in found]) for found in (chain, ideal)),
            *(f"{np.mean([np.nanstd(c.goodness) for c in found]):.2f}" for found in (chain, ideal)),
            *(f"{np.mean([c.poor.mean() for c in found]):.2%}" for found in (chain, ideal)),
        ]
        rest.append(f"| {' | '.join(cells)} |")
    return "\n".join([*kT, "", *rest])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first")
    parser.add_argument("--arcmin", type=float, default=14.0, help="as of demo_truth")
    parser.add_argument("--exposure", type=float, default=1.0, help="in units of the demo's")
    parser.add_argument("--resolution", type=int, default=2)
    options = parser.parse_args()
    print(
        "| seed | circles | bias: chain | truth-made | difference | coverage: chain | truth-made "
        "| scale - truth (sigma): first | second | flare removed | quiet lost | sources found, false "
        "| crop [arcmin] | time |\n"
        f"|{' --- |' * 14}"
    )
    seeds = []
    for seed in range(options.first, options.first + options.seeds):
        folder = Path(tempfile.mkdtemp(prefix="full-chain-"))
        screen, sys.stdout = sys.stdout, sys.stderr  # the output of the commands goes to standard error
        try:
            seeds.append(run(folder, seed, options.arcmin, options.exposure, options.resolution))
        finally:
            sys.stdout = screen
            shutil.rmtree(folder)
        print(line(seed, seeds[-1]), flush=True)
    print(f"\n{rings(seeds)}\n")
    times = [t for s in seeds for t in s.times]
    pulls = [t.pull for t in times]
    per_cent = [100 * (t.scale / t.truth - 1) for t in times]
    print(
        f"background scale: {mean(per_cent)} % (largest {np.abs(per_cent).max():.2f}); in its stated errors "
        f"{mean(pulls)}, scatter {np.std(pulls):.2f}"
    )
    print(f"exposure / truth: {mean([t.exposure for t in times])}")
    removed = [t.flare_removed for t in times if np.isfinite(t.flare_removed)]
    print(f"flare time removed: {np.mean(removed):.4f}, least {np.min(removed):.4f}")
    print(f"quiet time lost: {np.mean([t.quiet_lost for t in times]):.4f}, ", end="")
    print(f"most {np.max([t.quiet_lost for t in times]):.4f}")


if __name__ == "__main__":
    main()

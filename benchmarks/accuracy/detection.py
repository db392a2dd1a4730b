"""Completeness and false detections of the point source search in many simulated fields.

    python -m benchmarks.accuracy.detection [--fields 48] [--side 1024]

Images are simulated, not events. Each has a beta model cluster (cool core, ellipticity, shock edge, knots,
brightness and position vary), point sources with a logN-logS, particle background, two pointings with rolls
and chip gaps, and a Gaussian point spread function. A source is "above 5 sigma" if its expected counts within
R90 exceed 5 sqrt(all expected counts within R90). It is found if it lies in a circle that would be excluded.
"""

import argparse
import resource
import sys
import time
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from pyxt_hpc.chandra.sky.psf import R90_PER_SIGMA, psf_r90_arcsec
from pyxt_hpc.detect.point_sources import detect_sources

PIXEL = 1.968
CHIP, GAP = 256, 6  # image pixels


@dataclass(frozen=True)
class Field:
    """A simulated image with its truth."""

    counts: np.ndarray
    exposure: np.ndarray
    r90: np.ndarray
    background: np.ndarray  # expected counts without the cluster
    row: np.ndarray
    col: np.ndarray
    signal: np.ndarray  # expected counts of the sources
    strength: np.ndarray  # significance [sigma], as defined above
    centre: tuple[float, float]


def pointing(side: int, row: float, col: float, roll: float, live_s: float):
    """Exposure with and without vignetting [s] and off-axis angle [arcmin] of ACIS-I."""
    y, x = np.mgrid[:side, :side]
    y, x = y - row, x - col
    theta = np.hypot(y, x) * PIXEL / 60.0
    u = np.cos(roll) * x + np.sin(roll) * y + 20.0  # the axis is on one chip, near its inner corner
    v = -np.sin(roll) * x + np.cos(roll) * y + 20.0
    reach = CHIP + GAP / 2
    live = (np.maximum(abs(u), abs(v)) < reach) & (abs(u) > GAP / 2) & (abs(v) > GAP / 2)
    bare = (
        live_s * gaussian_filter(live.astype(float), 2.5) * (gaussian_filter(live.astype(float), 2.5) > 0.02)
    )
    return bare * (1.0 - 0.0018 * theta**2).clip(0.4), bare, theta


def blurred(image: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Image with a varying point spread, interpolated between images with a uniform one."""
    levels = np.array([0.0, 0.5, 1.0, 1.7, 2.5, 4.0, 6.0, 9.0])
    level = np.interp(sigma, levels, np.arange(len(levels)))
    result = np.zeros(image.shape)
    for k, width in enumerate(levels):
        result += np.clip(1 - abs(level - k), 0, 1) * (gaussian_filter(image, width) if width else image)
    return result


def simulate(seed: int, side: int = 1024, brightness: tuple[float, float] = (3.5, 6.3)) -> Field:
    rng = np.random.default_rng(seed)
    middle, fields = side / 2, (side / 1024) ** 2  # larger images are mosaics
    scatter = 30 + max(side - 1024, 0) / 4
    shown = [
        pointing(side, *(middle + rng.normal(0, scatter, 2)), rng.uniform(0, 6.3), rng.uniform(2e4, 1e5))
        for _ in range(round(2 * fields))
    ]
    exposure = sum(e for e, _, _ in shown)
    bare = sum(b for _, b, _ in shown)
    # cluster
    centre = middle + rng.normal(0, 60, 2)
    y, x = np.mgrid[:side, :side]
    y, x = y - centre[0], x - centre[1]
    angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0)
    u, v = np.cos(angle) * x + np.sin(angle) * y, (-np.sin(angle) * x + np.cos(angle) * y) / ratio
    r = np.hypot(u, v)
    core, cool = rng.uniform(15, 60), 10 ** rng.uniform(0.0, 1.1)
    gas = (1 + (r / core) ** 2) ** -1.4
    gas += rng.choice([0.0, 3.0, 10.0, 30.0, 100.0]) * (1 + (r / cool) ** 2) ** -1.4
    front = rng.uniform(0.8, 3.0) * core
    behind = (r < front) * np.exp(-(((front - r) / (0.4 * front)) ** 2)) * (abs(np.arctan2(v, u)) < 1.0)
    gas *= 1 + rng.choice([0.0, 1.6]) * behind
    for _ in range(rng.integers(0, 4)):  # knots of extended emission
        at, wide = rng.normal(0, 1.5 * core, 2), rng.uniform(5, 15)
        gas += (
            rng.uniform(0.2, 0.6)
            * np.exp(-0.5 * ((y - at[0]) ** 2 + (x - at[1]) ** 2) / wide**2)
            * (
                gas[
                    int(np.clip(at[0] + centre[0], 0, side - 1)), int(np.clip(at[1] + centre[1], 0, side - 1))
                ]
            )
        )
    total = 10 ** rng.uniform(*brightness)
    weights = [np.maximum(e, 1e-9) for e, _, _ in shown]
    r90 = np.average([psf_r90_arcsec(theta) for *_, theta in shown], axis=0, weights=weights) / PIXEL
    gas = blurred(gas, r90 / R90_PER_SIGMA)
    gas *= exposure
    gas *= total / gas.sum()
    particles = bare * rng.uniform(3e-6, 8e-6)
    diffuse = gas + particles + exposure * 1e-6
    # sources with N(>S) ~ S^-1.25, from 20 to 5000 counts
    number = rng.poisson(250 * fields)
    signal = 20.0 * rng.random(number) ** -0.8
    row, col = rng.uniform(0, side, (2, number))
    at = (row + 0.5).astype(int).clip(0, side - 1), (col + 0.5).astype(int).clip(0, side - 1)
    signal = np.minimum(signal, 5e3) * exposure[at] / exposure.max()
    seen = signal > 0.5
    row, col, signal = row[seen], col[seen], signal[seen]
    points = np.zeros((side, side))
    for e, _, theta in shown:
        share = e[at][seen] / exposure[at][seen]
        sigma = psf_r90_arcsec(theta[at][seen]) / PIXEL / R90_PER_SIGMA
        for k in range(len(row)):
            n = rng.poisson(signal[k] * share[k])
            place = rng.normal([[row[k]], [col[k]]], sigma[k], (2, n))
            inside = ((place > -0.5) & (place < side - 0.5)).all(axis=0)
            pixel = np.round(place[:, inside]).astype(int)
            np.add.at(
                points,
                tuple(pixel),
                rng.random(inside.sum()) < e[tuple(pixel)] / e[tuple(pixel)].max(initial=1),
            )
    counts = rng.poisson(diffuse) + points
    counts = np.where(exposure > 0, counts, 0).astype(int)
    local = diffuse[at][seen] * np.pi * r90[at][seen] ** 2
    strength = 0.9 * signal / np.sqrt(0.9 * signal + local)
    return Field(
        counts, exposure, r90, particles + exposure * 1e-6, row, col, signal, strength, tuple(centre)
    )


def judge(field: Field, found) -> tuple[np.ndarray, list, bool]:
    """Mask of detected sources, detections without a source, and whether one of these covers the core."""
    covered = np.zeros(len(field.row), dtype=bool)
    false = []
    eaten = False
    for s in found:
        d = np.hypot(field.row - s.row, field.col - s.col)
        covered |= d <= s.radius
        r90 = field.r90[round(s.row), round(s.col)]
        real = (d <= max(2.0, 1.2 * r90)) & (field.strength > 1.0)
        if not real.any():
            false.append(s)
            eaten |= np.hypot(s.row - field.centre[0], s.col - field.centre[1]) <= s.radius
    return covered, false, bool(eaten)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, default=48)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument(
        "--brightness", type=float, nargs=2, default=(3.5, 6.3), help="log10 of cluster counts"
    )
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    bins = np.array([4, 5, 6, 7, 8, 10, 20, 1000])
    there, got, n_false, n_eaten, seconds = np.zeros(7), np.zeros(7), 0, 0, []
    for seed in range(args.first, args.first + args.fields):
        field = simulate(seed, args.side, tuple(args.brightness))
        start = time.process_time()
        found = detect_sources(field.counts, field.exposure, field.r90)
        seconds.append(time.process_time() - start)
        covered, false, eaten = judge(field, found)
        there += np.histogram(field.strength, bins)[0]
        got += np.histogram(field.strength[covered], bins)[0]
        n_false, n_eaten = n_false + len(false), n_eaten + eaten
        if args.verbose:
            above = field.strength > 5
            print(
                seed, f"{seconds[-1]:.1f} s, {len(found)} found, {covered[above].sum()}/{above.sum()} above 5"
            )
            for s in false:
                d = np.hypot(s.row - field.centre[0], s.col - field.centre[1])
                print(
                    f"   false: {s.significance:.1f} sigma {s.counts:.0f} on {s.background:.0f}, "
                    f"{d:.0f} pixels from the centre, at {s.row:.1f}, {s.col:.1f}"
                )
            for k in np.flatnonzero(above & ~covered):
                d = np.hypot(field.row[k] - field.centre[0], field.col[k] - field.centre[1])
                print(
                    f"   missed: {field.strength[k]:.1f} sigma, {field.signal[k]:.0f} counts, "
                    f"{d:.0f} pixels from the centre, at {field.row[k]:.1f}, {field.col[k]:.1f}"
                )
            sys.stdout.flush()
    for low, high, n, m in zip(bins[:-1], bins[1:], there, got, strict=True):
        print(f"{low:4d}-{high:4d} sigma: {m:.0f} of {n:.0f} = {m / max(n, 1):.3f}")
    print(
        f"above 5 sigma: {got[1:].sum():.0f} of {there[1:].sum():.0f} = {got[1:].sum() / there[1:].sum():.3f}"
    )
    print(f"false: {n_false} in {args.fields} fields = {n_false / args.fields:.2f} per field")
    print(f"cores within a false source: {n_eaten}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    later = seconds[1:] or seconds  # the first call compiles
    print(f"seconds of the processor: median {np.median(later):.2f}, worst {max(later):.2f}")
    print(f"peak memory with the simulation {peak:.0f} MiB")


if __name__ == "__main__":
    main()

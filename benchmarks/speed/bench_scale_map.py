"""Speed of the scale map and of ClusterPyXT's method, with a comparison with brute force.

    python -m benchmarks.speed.bench_scale_map [--quick]

The image is a beta model on a flat background; the S/N target is 40. ClusterPyXT's method is a bisection over
the 793 radii for each pixel, with each disc as a mask over the whole image. Here it uses the same S/N as our
method, and is faster than in ClusterPyXT, since distances are tabulated and nothing is pickled. It is timed
on random pixels. All runs use one core; times are the best of 5 (quick: 2) for ours, and of 2 for
ClusterPyXT's.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.common import environment
from pyxt_hpc.binning.circles import prepare_circle_sums, radius_grid, scale_map_rows

TARGET = 40.0
SEED = 20240501
# Name, pixels on a side, cluster counts, background counts per pixel.
IMAGES = (
    ("512^2", 512, 1e6, 0.1),
    ("512^2, deep background", 512, 1e6, 1.0),
    ("2048^2", 2048, 4e6, 0.05),
    ("2048^2, deep background", 2048, 4e6, 0.5),
)
# Exposure of the blank sky over that of the observation.
BACKGROUND_EXPOSURE = 5.0


def beta_model(size: int, total: float, background: float) -> tuple[np.ndarray, np.ndarray]:
    """Counts of a beta model (beta 2/3, core 6% of the image) plus background; the scaled background."""
    rng = np.random.default_rng(SEED)
    y, x = np.indices((size, size))
    profile = (1 + ((y - size / 2) ** 2 + (x - size / 2) ** 2) / (0.06 * size) ** 2) ** -1.5
    counts = rng.poisson(total * profile / profile.sum() + background).astype(np.int32)
    scaled = rng.poisson(background * BACKGROUND_EXPOSURE, (size, size)) / BACKGROUND_EXPOSURE
    return counts, scaled.astype(np.float32)


def brute_force(counts: np.ndarray, background: np.ndarray, row: int, col: int) -> float:
    """Smallest radius that reaches the target, from tests of all radii; 0 if none does."""
    radii = radius_grid().radius
    near = tuple(slice(max(0, at - 100), at + 101) for at in (row, col))
    y, x = np.ogrid[: counts.shape[0], : counts.shape[1]]
    ring = np.searchsorted(radii**2, ((y - row) ** 2 + (x - col) ** 2)[near].ravel())
    c, b = (
        np.cumsum(np.bincount(ring, image[near].ravel().astype(float), len(radii) + 1)[:-1])
        for image in (counts, background)
    )
    ratio = np.divide(c - b, np.sqrt(c + b), out=np.zeros_like(c), where=c > 0)
    reached = np.flatnonzero(ratio >= TARGET)
    return float(radii[reached[0]]) if len(reached) else 0.0


def bisection(counts: np.ndarray, background: np.ndarray, distance: np.ndarray, row: int, col: int) -> float:
    """Radius of a pixel by ClusterPyXT's method.

    `distance` (2 ny - 1, 2 nx - 1) holds the distances [pixels] from the middle of this array.
    """
    ny, nx = counts.shape
    here = distance[ny - 1 - row : 2 * ny - 1 - row, nx - 1 - col : 2 * nx - 1 - col]
    radii = radius_grid().radius
    lo, hi, best = 0, len(radii) - 1, 0.0
    while lo <= hi:
        middle = (lo + hi) // 2
        disc = here <= radii[middle]
        c, b = float(counts[disc].sum()), float(background[disc].sum())
        if c > 0 and (c - b) / np.sqrt(c + b) >= TARGET:
            best, hi = float(radii[middle]), middle - 1
        else:
            lo = middle + 1
    return best


def best_of(n: int, function: Callable[[], Any]) -> tuple[float, Any]:
    """Shortest wall time [s] of n calls, and the last result."""
    seconds = []
    for _ in range(n):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def measure(name: str, size: int, total: float, per_pixel: float, quick: bool) -> None:
    """Check and time one image, and print the results."""
    n_checked, n_peer, repeat = (200, 20, 2) if quick else (1000, 60, 5)
    counts, background = beta_model(size, total, per_pixel)
    mask = np.ones(counts.shape, np.uint8)
    prepare_s, sums = best_of(2, lambda: prepare_circle_sums(counts, background, background, mask))
    scale_map_rows(sums, 0, 1, TARGET)  # compiles
    kernel_s, (radius, _) = best_of(repeat, lambda: scale_map_rows(sums, 0, size, TARGET))

    pixels = np.random.default_rng(SEED + 1).integers(0, size, (n_checked, 2)).tolist()
    wrong = sum(brute_force(counts, background, *p) != radius[*p] for p in pixels)
    if wrong:
        raise SystemExit(f"{name}: {wrong} of {n_checked} pixels differ from brute force: times mean nothing")

    y, x = np.ogrid[1 - size : size, 1 - size : size]
    distance = np.sqrt(y**2 + x**2).astype(np.float32)
    pixels = pixels[:n_peer]
    peer_s, found = best_of(2, lambda: [bisection(counts, background, distance, *p) for p in pixels])
    peer_wrong = sum(r != radius[*p] for r, p in zip(found, pixels, strict=True))

    rate, peer_rate = size**2 / (prepare_s + kernel_s), n_peer / peer_s
    reached = radius > 0
    print(
        f"{name}: {total:g} cluster counts, {per_pixel:g} background counts a pixel; "
        f"{n_checked} pixels equal brute force\n"
        f"  {reached.mean():.1%} of the pixels reach it, median radius {np.median(radius[reached]):.1f}\n"
        f"  pyxt_hpc   {rate:10,.0f} pixels/s (prepare {prepare_s:.2f} s, circles {kernel_s:.2f} s)\n"
        f"  bisection  {peer_rate:10,.0f} pixels/s ({1e3 / peer_rate:.2f} ms a pixel; "
        f"{peer_wrong} of {n_peer} radii wrong)\n"
        f"  ratio      {rate / peer_rate:10,.0f}"
    )


def main() -> None:
    """Print the environment, then the results of each image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only 512^2, fewer repetitions")
    quick = parser.parse_args().quick
    print(f"{environment()}; 1 core used, seed {SEED}, S/N {TARGET:g}")
    for image in IMAGES[: 2 if quick else None]:
        measure(*image, quick)


if __name__ == "__main__":
    main()

"""Bins that share no pixel: scatter of their S/N, elongation, speed, and fits compared with the truth.

    python -m benchmarks.speed.bench_bins [--image COUNTS.fits] [--quick]

Results are tables in Markdown for a simulated cluster of 2048^2 pixels (quick: 512^2) with a gap and holes,
for a FITS image of counts, for the extraction of 2,000 bins from 10^7 events, and for fits of simulated
clusters. Times are CPU times on one core, without the compilation of kernels.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks.accuracy.simulated_fronts import shock_free_cluster
from pyxt_hpc.binning.bins import signal_to_noise, sums_of
from pyxt_hpc.binning.contour import contour_bins
from pyxt_hpc.binning.geometric import annuli_of_signal, elliptical_radius, grid_bins
from pyxt_hpc.binning.runs import runs_of_labels
from pyxt_hpc.binning.voronoi import voronoi_bins
from pyxt_hpc.bundle import sort_by_pixel
from pyxt_hpc.cluster.fitting import fit_spectra
from pyxt_hpc.fit.extraction.extract import extract_regions, image_sums
from pyxt_hpc.simulate.direct import observe_directly

SEED = 20260101


def made_cluster(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts of an elliptical beta model on a background, the background, and a mask with a gap and holes."""
    rng = np.random.default_rng(SEED)
    y, x = np.indices((side, side)) - side / 2
    shape = (1 + (y**2 + (1.3 * x) ** 2) / (side / 12) ** 2) ** -1.5
    background = np.full((side, side), 0.2, np.float32)
    mask = np.ones((side, side), np.uint8)
    mask[:, side // 3 : side // 3 + side // 100] = 0
    for row, col in rng.integers(0, side, (20, 2)):
        mask[max(row - 8, 0) : row + 9, max(col - 8, 0) : col + 9] = 0
    counts = rng.poisson(1.5 * side**2 * shape / shape.sum() + background) * mask
    return counts.astype(np.int32), background, mask


def cpu(function: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """Result of a function, and its CPU time [s]."""
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


def methods(
    counts: np.ndarray, background: np.ndarray, mask: np.ndarray, target: float
) -> dict[str, Callable[[], np.ndarray]]:
    """Functions that make bins with an S/N, by the name of the method."""
    images = counts, background, background, mask
    y, x = np.indices(mask.shape)
    total = counts.sum()
    centre = (y * counts).sum() / total, (x * counts).sum() / total
    radius, sector = elliptical_radius(mask.shape, *centre, 1.0, 0.0), np.zeros(mask.shape, int)
    return {
        "contour": lambda: contour_bins(*images, target),
        "voronoi": lambda: voronoi_bins(*images, target),
        "annuli": lambda: annuli_of_signal(*images, target, radius, sector),
    }


def elongation(labels: np.ndarray) -> np.ndarray:
    """Ratio of major to minor axis, from second moments, for bins with at least 10 pixels."""
    y, x = np.indices(labels.shape)
    n, y1, x1, yy, xx, xy = sums_of(labels, [labels > 0, y, x, y**2, x**2, x * y])[:, 1:]
    y1, x1 = y1 / n, x1 / n
    moments = np.array([[yy / n - y1**2, xy / n - y1 * x1], [xy / n - y1 * x1, xx / n - x1**2]])
    small, large = np.linalg.eigvalsh(np.moveaxis(moments, -1, 0)[n >= 10]).T
    return np.sqrt(large[small > 0] / small[small > 0])


def table_of(
    counts: np.ndarray, background: np.ndarray, mask: np.ndarray, targets: tuple[float, ...]
) -> None:
    """Print a row for each method and S/N."""
    head = (
        "method", "S/N", "bins", "seconds", "live pixels in a bin", "S/N over target: 5%, median, 95%",
        "its scatter", "0 to 15% above", "without single pixels", "elongation (median)",
    )  # fmt: skip
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for target in targets:
        for name, make in methods(counts, background, mask, target).items():
            labels, seconds = cpu(make)
            ratio = signal_to_noise(*sums_of(labels, [counts, background, background]))[1:] / target
            low, middle, high = np.percentile(ratio, [5, 50, 95])
            good = (ratio >= 1.0) & (ratio <= 1.15)
            divisible = sums_of(labels, [mask])[0, 1:] > 1
            cells = (
                name, f"{target:g}", f"{len(ratio)}", f"{seconds:.2f}",
                f"{np.mean(labels[mask > 0] > 0):.1%}",
                f"{low:.2f} {middle:.2f} {high:.2f}", f"{np.std(ratio) / np.mean(ratio):.1%}",
                f"{np.mean(good):.1%}", f"{np.mean(good[divisible]):.1%}",
                f"{np.median(elongation(labels)):.2f}",
            )  # fmt: skip
            print(f"| {' | '.join(cells)} |")


def extraction() -> None:
    """Time the extraction of 2,000 bins from 10^7 events in 100 spectral bins, and sums of an image."""
    counts, background, mask = made_cluster(1024)
    labels = grid_bins(mask, 23)
    rng = np.random.default_rng(SEED)
    pixel = np.repeat(np.arange(mask.size), rng.multinomial(10**7, counts.ravel() / counts.sum()))
    indptr, bins = sort_by_pixel(pixel, rng.integers(0, 100, len(pixel)).astype(np.int16), mask.size)
    image = rng.random((1, *mask.shape))

    def extract() -> np.ndarray:
        _, runs = runs_of_labels(labels)
        image_sums(runs, image)
        return extract_regions(runs, indptr, bins, 100, mask.shape)

    extract()
    found, seconds = cpu(extract)
    assert found.sum() == 10**7
    print(
        f"\n{len(found)} bins from {found.sum()} events, runs of pixels and sums of an image included: "
        f"{seconds:.2f} s"
    )


def fits_against_truth(seeds: int) -> None:
    """Print pulls of kT for gas of 5 keV; their scatter should be 1, without correlation of neighbours."""
    pulls: dict[str, list[np.ndarray]] = {}
    norms: dict[str, list[np.ndarray]] = {}
    pairs: dict[str, list[np.ndarray]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng(SEED + seed)
        truth = shock_free_cluster("round", rng, 120).cluster
        truth = replace(truth, kT=np.full_like(truth.kT, 5.0), abundance=np.full_like(truth.kT, 0.3))
        bundle = observe_directly(truth, rng, exposure_s=1e5)
        images = bundle.counts, bundle.background, bundle.background, bundle.mask
        for name, make in (("contour", contour_bins), ("voronoi", voronoi_bins)):
            labels = make(*images, 30.0)
            rows = fit_spectra(bundle, labels).stored.rows
            sigma = np.where(rows["kT"] < 5.0, rows["kT_hi"] - rows["kT"], rows["kT"] - rows["kT_lo"])
            pull = (rows["kT"] - 5.0) / sigma
            pulls.setdefault(name, []).append(pull)
            true = sums_of(labels, [truth.norm])[0, 1:]
            norms.setdefault(name, []).append(rows["norm"] / true)
            beside = np.concatenate(
                [
                    np.stack([a.ravel(), b.ravel()], 1)
                    for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1]))
                ]
            )
            beside = np.unique(beside[(beside[:, 0] > 0) & (beside[:, 0] < beside[:, 1])], axis=0) - 1
            pairs.setdefault(name, []).append(pull[beside[:, 0]] * pull[beside[:, 1]])
    head = (
        "method",
        "bins",
        "kT: mean pull",
        "scatter",
        "within 68%",
        "neighbours: correlation",
        "norm/truth",
    )
    print(f"\n| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for name in pulls:
        pull, norm, product = (np.concatenate(found[name]) for found in (pulls, norms, pairs))
        pull, product = pull[np.isfinite(pull)], product[np.isfinite(product)]
        n = len(pull)
        print(
            f"| {name} | {n} | {pull.mean():+.3f} +- {pull.std() / n**0.5:.3f} "
            f"| {pull.std():.3f} +- {(2 * n) ** -0.5:.3f} "
            f"| {np.mean(abs(pull) <= 1):.1%} +- {0.47 / n**0.5:.1%} "
            f"| {product.mean():+.3f} +- {product.std() / len(product) ** 0.5:.3f} "
            f"| {np.median(norm):.4f} +- {norm.std() / n**0.5:.4f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path, help="a FITS image of counts besides")
    parser.add_argument("--quick", action="store_true", help="smaller")
    options = parser.parse_args()
    small = made_cluster(128)
    for make in methods(*small, 10.0).values():
        make()  # compiles
    side = 512 if options.quick else 2048
    counts, background, mask = made_cluster(side)
    print(f"{side}^2 pixels, {counts.sum()} counts\n")
    table_of(counts, background, mask, (40.0,) if options.quick else (40.0, 80.0))
    if options.image:
        with fits.open(options.image) as hdus:
            counts = np.array(hdus[0].data, np.int32)
        print(
            f"\n{options.image.name}: {counts.shape[0]} x {counts.shape[1]} pixels, {counts.sum()} counts\n"
        )
        table_of(
            counts, np.zeros(counts.shape, np.float32), np.ones(counts.shape, np.uint8), (10.0, 15.0, 20.0)
        )
    extraction()
    fits_against_truth(1 if options.quick else 6)


if __name__ == "__main__":
    main()

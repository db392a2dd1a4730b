"""Bins of the spectrum that is being fitted, with scratch arrays for evaluations of the statistic."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.compiled import kernel
from pyxt_hpc.spectra.kernels.outcome import FAILED, NO_COUNTS
from pyxt_hpc.spectra.kernels.statistics import prepared, terms, total


class FitBins(NamedTuple):
    """One spectrum for the kernels, as a named tuple, which numba supports.

    Parameters
    ----------
    kind
        Index in `statistics.STATISTICS`.
    first, second, third
        (n_bin,) the numbers of `statistics.prepared`.
    expected, slope_complement, half_curvature, scratch
        (n_bin,) expected counts, and arrays that `statistics.terms` and `total` fill.
    weight
        (n_fine,) weights of the finer bins of the templates.
    edges
        (n_bin + 1,) edges of the bins in units of the finer ones.
    """

    kind: int
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    third: NDArray[np.float64]
    expected: NDArray[np.float64]
    slope_complement: NDArray[np.float64]
    half_curvature: NDArray[np.float64]
    scratch: NDArray[np.float64]
    weight: NDArray[np.float64]
    edges: NDArray[np.int64]

    @classmethod
    def empty(cls, kind: int, edges: NDArray[np.int64]) -> FitBins:
        """Arrays for a spectrum."""
        first, second, third, expected, complement, curvature, scratch = np.zeros((7, len(edges) - 1))
        # A copy: those of shared memory are read-only, and numba would compile every kernel a second time.
        filled = expected, complement, curvature, scratch
        return cls(kind, first, second, third, *filled, np.zeros(edges[-1]), edges.copy())


@kernel
def load(bins, source, background, weight, ratio):  # type: ignore[no-untyped-def]
    """Put one region's spectrum, (n_fine,) each, into the bins; return flags, number of bins, source counts.

    Excluded bins get neither counts nor model, so that they contribute nothing.
    """
    n_used, counts = 0, 0.0
    for i in range(bins.edges.size - 1):
        S, B, r = 0.0, 0.0, 1.0
        used = False
        for j in range(bins.edges[i], bins.edges[i + 1]):
            w = weight[j]
            bins.weight[j] = w
            if w == 0.0:
                continue
            used = True
            # This form of the condition is also true for NaN.
            if not (
                0.0 <= source[j] < np.inf
                and 0.0 <= background[j] < np.inf
                and 0.0 < w < np.inf
                and 0.0 < ratio[j] < np.inf
            ):
                return FAILED, 0, 0.0
            S += source[j]
            B += background[j]
            r = ratio[j]
        if used:
            n_used += 1
            counts += S
            bins.first[i], bins.second[i], bins.third[i] = prepared(bins.kind, S, B, r)
        else:
            bins.first[i], bins.second[i], bins.third[i] = 0.0, 0.0, 1.0
    return (0 if counts > 0.0 else NO_COUNTS), n_used, counts


@kernel
def weighted(weight, edges, template, rate):  # type: ignore[no-untyped-def]
    """Put the sums of weight x template (n_fine,) over each bin into `rate`; return their total."""
    total_rate = 0.0
    for i in range(rate.size):
        value = 0.0
        for j in range(edges[i], edges[i + 1]):
            value += weight[j] * template[j]
        rate[i] = value
        total_rate += value
    return total_rate


@kernel
def evaluate_at(bins, rate, norm):  # type: ignore[no-untyped-def]
    """Evaluate the derivatives of the statistic for rates (n_bin,) at a norm."""
    for i in range(rate.size):
        bins.expected[i] = norm * rate[i]
    evaluate_terms(bins)


@kernel
def evaluate_terms(bins):  # type: ignore[no-untyped-def]
    """Evaluate the derivatives of the statistic at the expected counts."""
    terms(
        bins.kind,
        bins.first,
        bins.second,
        bins.third,
        bins.expected,
        bins.slope_complement,
        bins.half_curvature,
    )


@kernel
def statistic_there(bins):  # type: ignore[no-untyped-def]
    """Statistic at the point that was evaluated last."""
    return total(
        bins.kind, bins.first, bins.second, bins.third, bins.expected, bins.slope_complement, bins.scratch
    )

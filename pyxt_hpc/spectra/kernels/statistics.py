"""Statistics of a fit of expected counts to a source and a background spectrum.

For each bin, S and B are the counts of the source and background spectra, m are the counts of the model and b
those of the background expected in the source spectrum, and r is the exposure of the background spectrum over
that of the source (so that r b are expected in it).

``wstat``: minus twice the log of the likelihood ratio to the saturated model, with the unknown b at its best
value for each m (XSPEC manual, appendix "Statistics"; Wachter, Leach & Kellogg 1979),

    W(m) = 2 [m + (1 + r) b - S ln(m + b) - B ln(r b) - S (1 - ln S) - B (1 - ln B)].

With y = m + b, u = (1 + r) m + B - S and D = sqrt(u^2 + 4 S B) the best b is

    y = (u + 2 S + D) / (2 (1 + r)),    b = (D - u + 2 B) / (2 (1 + r)),

and with g = W'(m) / 2 = 1 - S / y, for which B / b = r + g,

    W = 2 [m g + S ln(S / y) + B ln((r + g) / r)],    W''(m) / 2 = S / y^2 (1 + u / D) / 2 >= 0.

A logarithm whose counts are 0 is left out. This one formula holds in every special case of the
manual (S = 0, B = 0 with b = 0, B = 0 with b > 0); W is finite everywhere and convex in m.

``cstat`` (Cash 1979, ApJ 228, 939, less the saturated model): b is known to be B / r,

    C(m) = 2 [m + b - S + S ln(S / (m + b))].

``chi2gehrels``: squared deviations of S - B / r, with the standard errors that Gehrels 1986, ApJ 303,
336, eq. 7 gives for S and B, as Sherpa and ClusterPyXT have it on subtracted spectra,

    X(m) = (S - B / r - m)^2 / v,    v = (1 + sqrt(S + 3/4))^2 + (1 + sqrt(B + 3/4))^2 / r^2.

All three are convex in m.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.arrays.compiled import kernel

STATISTICS = ("wstat", "cstat", "chi2gehrels")
"""Names of the statistics; kernels use their indices."""

WSTAT, CSTAT, CHI2GEHRELS = range(3)

# Replaces 0 in divisors that are 0 only if the numerator is 0, too, or if no counts are expected.
_TINY = 1e-100

# Bit patterns of doubles: 1, sqrt(1/2), 2^52, and the mantissa's bits.
_ONE, _ROOT_HALF, _MAGIC, _MANTISSA = (
    np.uint64(bits) for bits in (0x3FF0000000000000, 0x3FE6A09E667F3BCD, 0x4330000000000000, 0xFFFFFFFFFFFFF)
)


def wstat(
    source: ArrayLike, background: ArrayLike, expected: ArrayLike, ratio: ArrayLike
) -> NDArray[np.float64]:
    """Contribution of each bin to wstat as in Sherpa and XSPEC.

    Parameters
    ----------
    source, background : (...) >= 0
        Counts S and B of the source and of the background spectrum.
    expected : (...) >= 0
        Counts m of the model in the source spectrum, without background.
    ratio : (...) > 0
        Exposure (time x area) of the background spectrum over that of the source.

    Returns
    -------
    (...) float64
        W of each bin, >= 0 up to rounding.
    """
    S, B, m, r = _as_floats(source, background, expected, ratio)
    u = (1.0 + r) * m + B - S
    y = (u + 2.0 * S + np.sqrt(u * u + 4.0 * S * B)) / (2.0 * (1.0 + r))
    x = np.divide(S, y, out=np.zeros(S.shape), where=S > 0)
    source_term = S * np.log(x, out=np.zeros(S.shape), where=S > 0)
    background_term = B * np.log((1.0 + r - x) / r, out=np.zeros(S.shape), where=B > 0)
    return 2.0 * (m * (1.0 - x) + source_term + background_term)


def cstat(
    source: ArrayLike, background: ArrayLike, expected: ArrayLike, ratio: ArrayLike
) -> NDArray[np.float64]:
    """Contribution of each bin to cstat for the background background / ratio; arguments as for `wstat`.

    If there are counts but none are expected, 1e-100 replaces the expectation.
    """
    S, B, m, r = _as_floats(source, background, expected, ratio)
    M = np.maximum(m + B / r, _TINY)
    return 2.0 * (M - S + S * np.log(S / M, out=np.zeros(S.shape), where=S > 0))


def chi2gehrels(
    source: ArrayLike, background: ArrayLike, expected: ArrayLike, ratio: ArrayLike
) -> NDArray[np.float64]:
    """Contribution of each bin to chi2gehrels on background-subtracted counts; arguments as for `wstat`."""
    S, B, m, r = _as_floats(source, background, expected, ratio)
    variance = (1.0 + np.sqrt(S + 0.75)) ** 2 + ((1.0 + np.sqrt(B + 0.75)) / r) ** 2
    return (S - B / r - m) ** 2 / variance


def _as_floats(*values: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    return tuple(np.broadcast_arrays(*(np.asarray(a, np.float64) for a in values)))


@kernel
def prepared(kind, S, B, r):  # type: ignore[no-untyped-def]
    """Three numbers of a bin for `terms` and `total`.

    wstat: S, B, r. cstat: S, b. chi2gehrels: S - b, 1 / variance.
    """
    if kind == WSTAT:
        return S, B, r
    if kind == CSTAT:
        return S, B / r, 1.0
    root_S, root_B = 1.0 + np.sqrt(S + 0.75), (1.0 + np.sqrt(B + 0.75)) / r
    return S - B / r, 1.0 / (root_S * root_S + root_B * root_B), 1.0


@kernel
def terms(  # type: ignore[no-untyped-def]
    kind, first, second, third, expected, slope_complement, half_curvature
):
    """First and second derivatives of every bin's statistic by its expected counts m.

    Parameters
    ----------
    kind : int
        Place in `STATISTICS`.
    first, second, third : (n_bin,) float64
        From `prepared`.
    expected : (n_bin,) float64
        m >= 0.
    slope_complement, half_curvature : (n_bin,) float64
        Filled with 1 - W'(m) / 2 (for wstat S / y) and W''(m) / 2.
    """
    if kind == WSTAT:
        for i in range(first.size):
            S, B, R = first[i], second[i], 1.0 + third[i]
            u = R * expected[i] + B - S
            D = np.sqrt(u * u + 4.0 * S * B)
            y = 0.5 * (u + 2.0 * S + D)  # times R
            D = D if D > _TINY else _TINY
            y = y if y > _TINY else _TINY
            inverse = R / (y * D)
            k = S * D * inverse
            slope_complement[i] = k
            half_curvature[i] = 0.5 * k * inverse * (D + u)
    elif kind == CSTAT:
        for i in range(first.size):
            M = expected[i] + second[i]
            M = M if M > _TINY else _TINY
            k = first[i] / M
            slope_complement[i] = k
            half_curvature[i] = k / M
    else:
        for i in range(first.size):
            slope_complement[i] = 1.0 - (expected[i] - first[i]) * second[i]
            half_curvature[i] = second[i]


@kernel
def slope(slope_complement, rate):  # type: ignore[no-untyped-def]
    """Derivative of the statistic by the amount of a component of these rates (n_bin,)."""
    even, odd = 0.0, 0.0
    pairs = rate.size // 2
    for j in range(pairs):
        i = 2 * j
        even += (1.0 - slope_complement[i]) * rate[i]
        odd += (1.0 - slope_complement[i + 1]) * rate[i + 1]
    if rate.size % 2:
        even += (1.0 - slope_complement[rate.size - 1]) * rate[rate.size - 1]
    return 2.0 * (even + odd)


@kernel
def slope_and_curvature(slope_complement, half_curvature, rate):  # type: ignore[no-untyped-def]
    """First and second derivative of the statistic by the amount of one component."""
    g_even, g_odd, h_even, h_odd = 0.0, 0.0, 0.0, 0.0
    pairs = rate.size // 2
    for j in range(pairs):
        i = 2 * j
        p, q = rate[i], rate[i + 1]
        g_even += (1.0 - slope_complement[i]) * p
        g_odd += (1.0 - slope_complement[i + 1]) * q
        h_even += half_curvature[i] * p * p
        h_odd += half_curvature[i + 1] * q * q
    if rate.size % 2:
        p, last = rate[rate.size - 1], rate.size - 1
        g_even += (1.0 - slope_complement[last]) * p
        h_even += half_curvature[last] * p * p
    return 2.0 * (g_even + g_odd), 2.0 * (h_even + h_odd)


@kernel
def cross_curvature(half_curvature, rate_a, rate_c):  # type: ignore[no-untyped-def]
    """Mixed second derivative of the statistic by the amounts of two components."""
    total = 0.0
    for i in range(half_curvature.size):
        total += half_curvature[i] * rate_a[i] * rate_c[i]
    return 2.0 * total


@kernel
def slopes_and_curvatures(slope_complement, half_curvature, rate_a, rate_c):  # type: ignore[no-untyped-def]
    """W_a, W_c, W_aa, W_ac, W_cc: derivatives by the amounts a and c of two components."""
    g_a, g_c, h_aa, h_ac, h_cc = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(slope_complement.size):
        p, q, g = rate_a[i], rate_c[i], 1.0 - slope_complement[i]
        h_p = half_curvature[i] * p
        g_a += g * p
        g_c += g * q
        h_aa += h_p * p
        h_ac += h_p * q
        h_cc += half_curvature[i] * q * q
    return 2.0 * g_a, 2.0 * g_c, 2.0 * h_aa, 2.0 * h_ac, 2.0 * h_cc


@kernel
def _log(value):  # type: ignore[no-untyped-def]
    """Natural logarithm of a normal positive number, without branches (a call would keep the loop scalar).

    The argument is split into 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt(2)); minimax polynomial of FDLIBM's
    e_log.c (Sun Microsystems 1993), error below 1 ulp.
    """
    bits = np.uint64(np.float64(value).view(np.uint64) + (_ONE - _ROOT_HALF))
    # the exponent as an integer in the mantissa of 2^52: no conversion of 64-bit integers is needed
    k = np.uint64((bits >> np.uint64(52)) | _MAGIC).view(np.float64) - 4503599627371519.0
    f = np.uint64((bits & _MANTISSA) + _ROOT_HALF).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = w * (0.3999999999940941908 + w * (0.2222219843214978396 + w * 0.1531383769920937332))
    even = 0.6666666666666735130 + w * (
        0.2857142874366239149 + w * (0.1818357216161805012 + w * 0.1479819860511658591)
    )
    half_square = 0.5 * f * f
    tail = s * (half_square + odd + z * even) + k * 1.90821492927058770002e-10
    return tail - half_square + f + k * 6.93147180369123816490e-01


@kernel
def total(kind, first, second, third, expected, slope_complement, scratch):  # type: ignore[no-untyped-def]
    """Statistic summed over bins, after `terms` has filled `slope_complement`; overwrites `scratch`."""
    if kind == WSTAT:
        for i in range(first.size):
            S, B, r, k = first[i], second[i], third[i], slope_complement[i]
            by_source = k if S > 0.0 else 1.0
            by_background = (1.0 + r - k) / r if B > 0.0 else 1.0
            scratch[i] = expected[i] * (1.0 - k) + S * _log(by_source) + B * _log(by_background)
    elif kind == CSTAT:
        for i in range(first.size):
            S, M, k = first[i], expected[i] + second[i], slope_complement[i]
            scratch[i] = M - S + S * _log(k if S > 0.0 else 1.0)
    else:
        for i in range(first.size):
            difference = expected[i] - first[i]
            scratch[i] = 0.5 * difference * difference * second[i]
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    fours = scratch.size // 4
    for j in range(fours):
        i = 4 * j
        a += scratch[i]
        b += scratch[i + 1]
        c += scratch[i + 2]
        d += scratch[i + 3]
    for i in range(4 * fours, scratch.size):
        a += scratch[i]
    return 2.0 * ((a + b) + (c + d))

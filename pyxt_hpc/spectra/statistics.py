"""wstat: how well expected counts agree with a Poisson source spectrum and a Poisson background spectrum.

Per bin let S and B be the source and background counts, m the counts the model expects in the source
spectrum, b the unknown background counts expected there, r the background's exposure in units of the
source's (B expects r b). Minus twice the log of the likelihood ratio to the saturated model, with b
at its best value for each m, is (XSPEC manual, appendix "Statistics"; Wachter, Leach & Kellogg 1979)

    W(m) = 2 [m + (1 + r) b - S ln(m + b) - B ln(r b) - S (1 - ln S) - B (1 - ln B)].

With y = m + b, u = (1 + r) m + B - S and D = sqrt(u^2 + 4 S B) the best b is

    y = (u + 2 S + D) / (2 (1 + r)),    b = (D - u + 2 B) / (2 (1 + r)),

and with g = W'(m) / 2 = 1 - S / y, for which B / b = r + g,

    W = 2 [m g + S ln(S / y) + B ln((r + g) / r)],    W''(m) / 2 = S / y^2 (1 + u / D) / 2 >= 0.

A logarithm whose counts are 0 is left out. This one formula holds in every special case of the
manual (S = 0, B = 0 with b = 0, B = 0 with b > 0); W is finite everywhere and convex in m.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

# No fastmath: sums whose order the compiler may choose differ in the last bits from one compilation to the
# next, and a resumed run must equal an uninterrupted one. What is not a sum still uses vector registers.
# error_model="numpy": Python's test for division by zero would keep the loops scalar.
STRICT = {"fastmath": False, "error_model": "numpy"}

# Stands for 0 in divisors that are 0 only where the numerator is 0 too.
_TINY = 1e-100

# Bit patterns of doubles: 1, sqrt(1/2), 2^52, and the mantissa's bits.
_ONE, _ROOT_HALF, _MAGIC, _MANTISSA = (
    np.uint64(bits) for bits in (0x3FF0000000000000, 0x3FE6A09E667F3BCD, 0x4330000000000000, 0xFFFFFFFFFFFFF)
)


def wstat(
    source: ArrayLike, background: ArrayLike, expected: ArrayLike, ratio: ArrayLike
) -> NDArray[np.float64]:
    """Statistic of each bin; its sum is what Sherpa and XSPEC call wstat.

    Parameters
    ----------
    source, background : (...) >= 0
        Counts S and B of the source and of the background spectrum.
    expected : (...) >= 0
        Counts m that the model expects in the source spectrum, background excluded.
    ratio : (...) > 0
        Exposure of the background spectrum in units of the source's (times, areas, ...).

    Returns
    -------
    (...) float64
        W of each bin, >= 0 up to rounding.
    """
    S, B, m, r = np.broadcast_arrays(
        *(np.asarray(a, np.float64) for a in (source, background, expected, ratio))
    )
    u = (1.0 + r) * m + B - S
    y = (u + 2.0 * S + np.sqrt(u * u + 4.0 * S * B)) / (2.0 * (1.0 + r))
    x = np.divide(S, y, out=np.zeros(S.shape), where=S > 0)
    source_term = S * np.log(x, out=np.zeros(S.shape), where=S > 0)
    background_term = B * np.log((1.0 + r - x) / r, out=np.zeros(S.shape), where=B > 0)
    return 2.0 * (m * (1.0 - x) + source_term + background_term)


@njit(cache=True, **STRICT)
def wstat_derivatives(source, background, ratio, rate_a, rate_c, a, c, expected, x, h):  # type: ignore[no-untyped-def]
    """Derivatives of W summed over bins, for expected counts a rate_a + c rate_c.

    Parameters
    ----------
    source, background, ratio, rate_a, rate_c : (n_bin,) float64
    a, c : float
    expected, x, h : (n_bin,) float64
        Filled with m, S / y and W''(m) / 2 of each bin, the first two for `wstat_sum`.

    Returns
    -------
    W_a, W_c, W_aa, W_ac, W_cc : float
    """
    for i in range(source.size):
        S, B, R = source[i], background[i], 1.0 + ratio[i]
        m = a * rate_a[i] + c * rate_c[i]
        u = R * m + B - S
        D = np.sqrt(u * u + 4.0 * S * B)
        y = 0.5 * (u + 2.0 * S + D)  # times R
        D = D if D > _TINY else _TINY
        y = y if y > _TINY else _TINY
        inverse = R / (y * D)
        k = S * D * inverse
        expected[i] = m
        x[i] = k
        h[i] = 0.5 * k * inverse * (D + u)
    g_a, g_c, h_aa, h_ac, h_cc = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(source.size):
        p, q, g = rate_a[i], rate_c[i], 1.0 - x[i]
        h_p = h[i] * p
        g_a += g * p
        g_c += g * q
        h_aa += h_p * p
        h_ac += h_p * q
        h_cc += h[i] * q * q
    return 2.0 * g_a, 2.0 * g_c, 2.0 * h_aa, 2.0 * h_ac, 2.0 * h_cc


@njit(cache=True, **STRICT)
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


@njit(cache=True, **STRICT)
def wstat_sum(source, background, ratio, expected, x, terms):  # type: ignore[no-untyped-def]
    """W summed over bins, from `expected` and `x` of `wstat_derivatives`; `terms` is overwritten."""
    for i in range(source.size):
        S, B, r, k = source[i], background[i], ratio[i], x[i]
        by_source = k if S > 0.0 else 1.0
        by_background = (1.0 + r - k) / r if B > 0.0 else 1.0
        terms[i] = expected[i] * (1.0 - k) + S * _log(by_source) + B * _log(by_background)
    total = 0.0
    for i in range(source.size):
        total += terms[i]
    return 2.0 * total

"""The result of a single-temperature fit of gas of many temperatures.

The fit maximises the Poisson likelihood of the mixed spectrum, so the slope of this likelihood is 0 at its
temperature. The slope is linear in the emission at each temperature; its coefficients are tabulated once for
the responses and for the background of each annulus. Unlike the spectroscopic-like temperature (Mazzotta et
al. 2004, MNRAS 354, 10), this is valid for cool gas, and for any band, absorption and background.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.interpolate import bracket

FloatArray = NDArray[np.float64]

GAS_KEV, FIT_KEV = (0.2, 30.0, 48), (0.15, 40.0, 64)
"""Lowest and highest temperature, and number of temperatures, of mixed gas and of the fit."""


@dataclass(frozen=True, eq=False)
class Mixing:
    """Tables for n annuli.

    Parameters
    ----------
    gas_kT : (n_gas,)
        Temperatures [keV] of the gas.
    fit_kT : (n_fit,)
        Temperatures [keV] of the fit.
    slope : (n, n_fit, n_gas)
        Slope of the likelihood in kT at the best norm, per norm of gas; in any unit.
    gain : (n, n_fit, n_gas)
        Best norm of a model with the fit's temperature, per norm of gas.
    """

    gas_kT: FloatArray
    fit_kT: FloatArray
    slope: FloatArray
    gain: FloatArray

    @classmethod
    def of(
        cls,
        kT: FloatArray,
        expected: FloatArray,
        background: FloatArray,
        counts: FloatArray,
        background_counts: FloatArray,
    ) -> "Mixing":
        """Make the tables.

        Parameters
        ----------
        kT : (n_kT,)
            Temperatures of the model [keV], which is linear between them.
        expected : (n_kT, n_bin)
            Counts of the model at norm 1, in the concatenated bins of all observations.
        background : (n_bin,)
            Spectrum of the background in any unit.
        counts, background_counts : (n,)
            Net counts and background counts of each annulus.
        """
        gas_kT, fit_kT = np.geomspace(*GAS_KEV), np.geomspace(*FIT_KEV)
        gas, model = (_between(nodes, kT, expected) for nodes in (gas_kT, fit_kT))
        steepness = np.gradient(model, np.log(fit_kT), axis=0)
        shape = background / max(background.sum(), 1e-300)
        slope, gain = [], []
        for net, behind in zip(counts, background_counts, strict=True):
            total = net * model / model.sum(axis=1, keepdims=True) + behind * shape
            weight = 1.0 / np.maximum(total, 1e-300)
            by_gas, by_model = (model * weight) @ gas.T, np.sum(model**2 * weight, axis=1)
            best = by_gas / by_model[:, None]
            at_best = (steepness * weight) @ gas.T - best * np.sum(steepness * model * weight, axis=1)[
                :, None
            ]
            # Divided by a common scale, since only the zeros of the slope matter.
            slope.append(at_best / by_model[:, None])
            gain.append(best)
        return cls(gas_kT, fit_kT, np.array(slope), np.array(gain))

    def spread(self, kT: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
        """Index of the node below each kT, and the weight of the node above; clipped at the ends."""
        nodes = self.gas_kT
        at = np.log(np.maximum(kT, nodes[0]) / nodes[0]) / np.log(nodes[1] / nodes[0])
        lower = np.minimum(at.astype(np.int64), len(nodes) - 2)
        share = (kT - nodes[lower]) / (nodes[lower + 1] - nodes[lower])
        return lower, np.clip(share, 0.0, 1.0)

    def single_temperature(
        self, norm: FloatArray, present: slice = slice(None)
    ) -> tuple[FloatArray, FloatArray]:
        """Temperature [keV] and norm that the fits find.

        Parameters
        ----------
        norm : (n_model, n, n_gas)
            Norm of the gas at each temperature.
        present
            Temperatures of `gas_kT` that ``norm`` has, if not all; there is no gas at the others.

        Returns
        -------
        kT, norm : (n_model, n)
        """
        by_annulus = norm.transpose(1, 0, 2)
        slope = by_annulus @ self.slope[..., present].transpose(0, 2, 1)  # (n, n_model, n_fit)
        falling = (slope[..., :-1] > 0) & (slope[..., 1:] <= 0)
        # Of several maxima, the one nearest to the spectroscopic-like temperature is used.
        log_kT, gas_kT = np.log(self.fit_kT), self.gas_kT[present]
        weight = gas_kT**-0.75
        like = np.log(by_annulus @ (gas_kT * weight) / (by_annulus @ weight))
        distance = np.abs(0.5 * (log_kT[1:] + log_kT[:-1]) - like[..., None])
        at = np.argmin(np.where(falling, distance, np.inf), axis=-1)[..., None]
        left, right = np.take_along_axis(slope, at, -1)[..., 0], np.take_along_axis(slope, at + 1, -1)[..., 0]
        share = np.where(left > right, left / np.where(left > right, left - right, 1.0), 0.0)
        # Without a maximum, the spectrum is softer or harder than any model: use the end of the range.
        never = ~falling.any(axis=-1)
        at, share = at[..., 0], np.clip(share, 0.0, 1.0)
        highest = never & (slope[..., 0] > 0)
        at = np.where(highest, len(self.fit_kT) - 2, at)
        share = np.where(highest, 1.0, np.where(never, 0.0, share))
        kT = np.exp((1.0 - share) * log_kT[at] + share * log_kT[at + 1])
        rows = np.arange(norm.shape[1])[:, None]
        best = [np.einsum("amg,amg->am", by_annulus, self.gain[rows, at + i, present]) for i in (0, 1)]
        return kT.T, ((1.0 - share) * best[0] + share * best[1]).T


def _between(nodes: FloatArray, kT: FloatArray, expected: FloatArray) -> FloatArray:
    """Spectra (n_nodes, n_bin) at other temperatures, by linear interpolation in kT."""
    lower, share = bracket(kT, nodes)
    return (1.0 - share[:, None]) * expected[lower] + share[:, None] * expected[lower + 1]

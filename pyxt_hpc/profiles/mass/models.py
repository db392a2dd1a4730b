"""Two descriptions of a cluster in hydrostatic equilibrium, with the priors of their parameters.

``forward``: density and temperature of the gas are parametric functions, from which the mass follows.
``backward``: the mass is an NFW halo; temperature follows from it and from the density of the gas.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.profiles.gas.vikhlinin import GasDensity, GasTemperature
from pyxt_hpc.profiles.mass.hydrostatic import G_U, hydrostatic_mass, hydrostatic_temperature
from pyxt_hpc.profiles.mass.nfw import NFW

FloatArray = NDArray[np.float64]

WAYS = ("forward", "backward")

_CHECKED = 24
"""Number of radii at which a mass is checked to grow outwards."""


@dataclass(frozen=True)
class Parameter:
    """A sampled parameter with its limits."""

    name: str
    low: float
    high: float
    meaning: str
    is_log: bool = False
    """Whether it is the natural logarithm of a positive quantity, whose unit is in `meaning`."""


def _log(name: str, low: float, high: float, meaning: str) -> Parameter:
    return Parameter(name, float(np.log(low)), float(np.log(high)), meaning, is_log=True)


@dataclass(frozen=True)
class GasModel:
    """The density of Vikhlinin et al. (2006).

    Parameters
    ----------
    innermost, outermost
        Middle of the first annulus and outer edge of the last [kpc].
    core
        Whether to include the second component.
    """

    innermost: float
    outermost: float
    core: bool = False

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Parameters of the density."""
        inner, outer = self.innermost, self.outermost
        main = (
            _log("n0", 1e-6, 10.0, "main density [cm^-3]"),
            _log("rc", 0.5 * inner, 0.7 * outer, "core radius [kpc]"),
            Parameter("alpha", 0.0, 3.0, "cusp of n_e^2"),
            Parameter("beta", 0.2, 1.5, "beta"),
            _log("rs", 0.1 * outer, 3.0 * outer, "radius of the steepening [kpc]"),
            Parameter("epsilon", 0.0, 5.0, "steepening of n_e^2"),
        )
        second = (
            _log("n02", 1e-5, 10.0, "density of the second component [cm^-3]"),
            _log("rc2", 0.2 * inner, 0.2 * outer, "its core radius [kpc]"),
        )
        return main + second if self.core else main

    def density(self, theta: FloatArray) -> GasDensity:
        """Densities of models (n, n_parameter), as a function of radii (m,)."""
        n0, rc, alpha, beta, rs, epsilon = theta.T[:6, :, None]
        second = np.exp(theta.T[6:8, :, None]) if self.core else (0.0, self.innermost)
        return GasDensity(np.exp(n0), np.exp(rc), alpha, beta, np.exp(rs), epsilon, *second)

    def start(self) -> list[float]:
        """Parameters of a typical cluster."""
        middle = np.sqrt(self.innermost * self.outermost)
        first = [np.log(1e-2), np.log(middle), 0.5, 0.6, np.log(0.7 * self.outermost), 1.5]
        return [*first, np.log(1e-2), np.log(1.5 * self.innermost)] if self.core else first


@dataclass(frozen=True)
class Forward:
    """Parametric density and temperature.

    The temperature is that of Vikhlinin et al. (2006) with a = 0 and b = acool = 2, because few annuli cannot
    constrain more parameters. Ghirardini et al. (2019, A&A 621, A41) use the same except for acool.

    Parameters
    ----------
    gas
        The density.
    mu
        Mean molecular weight of the gas.
    radii
        Middles and edges of the annuli [kpc], where the prior is uniform in ln kT.
    """

    gas: GasModel
    mu: float
    radii: tuple[float, ...]

    way: ClassVar[str] = "forward"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Parameters of density and temperature."""
        inner, outer = self.gas.innermost, self.gas.outermost
        return (
            *self.gas.parameters,
            _log("T0", 0.1, 40.0, "kT without cool core and decline [keV]"),
            _log("rt", 0.1 * outer, 3.0 * outer, "radius where kT declines [kpc]"),
            Parameter("c", 0.0, 4.0, "slope of the decline"),
            Parameter("cool", 0.05, 1.0, "kT in the centre over that without cool core"),
            _log("rcool", 0.5 * inner, 0.3 * outer, "radius of the cool core [kpc]"),
        )

    def temperature(self, theta: FloatArray) -> GasTemperature:
        """Temperatures of models (n, n_parameter), as a function of radii (m,)."""
        T0, rt, c, cool, rcool = theta.T[-5:, :, None]
        return GasTemperature(np.exp(T0), np.exp(rt), 0.0, 2.0, c, cool, np.exp(rcool), 2.0)

    def gas_at(self, theta: FloatArray, radius: FloatArray) -> tuple[FloatArray, FloatArray]:
        """n_e [cm^-3] and kT [keV], (n, m), at radii (m,) [kpc], ascending."""
        return self.gas.density(theta)(radius), self.temperature(theta)(radius)

    def mass_at(self, theta: FloatArray, radius: FloatArray) -> FloatArray:
        """Mass [Msun] (n, m) within radii (m,); without equilibrium it may fall outwards or be negative."""
        density, temperature = self.gas.density(theta), self.temperature(theta)
        slopes = density.slope(radius), temperature.slope(radius)
        return hydrostatic_mass(radius, temperature(radius), *slopes, self.mu)

    def log_prior(self, theta: FloatArray) -> FloatArray:
        """Logarithm of the prior (n,) of models (n, n_parameter), up to a constant.

        The prior is uniform in the profiles of ln kT at the annuli: sqrt(det(G^T G)) per volume of
        parameters, where G are the derivatives of the profile (Jeffreys 1946, Proc. R. Soc. A 186, 453, for
        equal errors). A prior uniform in the parameters would prefer profiles that many parameters share,
        such as those without a decline, which have any ``c`` if ``rt`` is far outside, or those with one bend
        that noise suggests.
        """
        by = self.temperature(theta).derivatives(np.array(self.radii))
        sign, logarithm = np.linalg.slogdet(by.swapaxes(-1, -2) @ by)
        return np.where(sign > 0, 0.5 * logarithm, -np.inf)

    def allowed(self, theta: FloatArray) -> NDArray[np.bool_]:
        """Whether the mass of models (n, n_parameter) is positive and grows outwards over the annuli."""
        radius = np.geomspace(self.gas.innermost, self.gas.outermost, _CHECKED)
        mass = self.mass_at(theta, radius)
        return (mass[:, 0] > 0) & np.all(np.diff(mass, axis=1) > 0, axis=1)

    def start(self, kT: float) -> FloatArray:
        """Parameters to begin the search with; `kT` is that of the whole cluster [keV]."""
        outer = self.gas.outermost
        own = [np.log(kT), np.log(0.7 * outer), 0.7, 0.8, np.log(0.06 * outer)]
        return np.array([*self.gas.start(), *own])


@dataclass(frozen=True)
class Backward:
    """An NFW halo and the density of the gas.

    The pressure at `boundary` times the outermost radius is a parameter: kT there is ``edge`` times G M mu/r,
    so that ``edge`` is the inverse of the logarithmic slope of the pressure.
    """

    gas: GasModel
    mu: float
    critical: float
    """Critical density [Msun kpc^-3]."""

    way: ClassVar[str] = "backward"
    boundary: ClassVar[float] = 4.0

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Parameters of density, halo and boundary."""
        return (
            *self.gas.parameters,
            _log("M500", 1e12, 1e16, "mass within R500 [Msun]"),
            _log("c500", 0.3, 20.0, "concentration R500/rs"),
            Parameter("edge", 0.0, 0.5, "kT over G M mu/r at the boundary"),
        )

    def halo(self, theta: FloatArray) -> NFW:
        """Halos of models (n, n_parameter), as a function of radii (m,)."""
        mass, concentration = np.exp(theta.T[-3:-1, :, None])
        return NFW.of(mass, concentration, 500.0, self.critical)

    def gas_at(self, theta: FloatArray, radius: FloatArray) -> tuple[FloatArray, FloatArray]:
        """n_e [cm^-3] and kT [keV], (n, m), at ascending radii (m,) [kpc] up to the boundary."""
        outer = self.boundary * self.gas.outermost
        # More radii up to the boundary; none if the last radius is there.
        n_more = int(np.ceil(12 * np.log(outer / radius[-1]) - 1e-6))
        beyond = np.geomspace(radius[-1], outer, n_more + 1)[1:] if n_more > 0 else np.zeros(0)
        grid = np.concatenate([radius, beyond])
        density, mass = self.gas.density(theta)(grid), self.halo(theta).mass(grid)
        edge_kT = theta[:, -1] * G_U * self.mu * mass[:, -1] / grid[-1]
        kT = hydrostatic_temperature(grid, density, mass, self.mu, edge_kT)
        return density[:, : len(radius)], kT[:, : len(radius)]

    def mass_at(self, theta: FloatArray, radius: FloatArray) -> FloatArray:
        """Mass [Msun] (n, m) within radii (m,)."""
        return self.halo(theta).mass(radius)

    def log_prior(self, theta: FloatArray) -> FloatArray:
        """Logarithm of the uniform prior, 0 for each of n models (n, n_parameter)."""
        return np.zeros(len(theta))

    def allowed(self, theta: FloatArray) -> NDArray[np.bool_]:
        """Whether the mass is positive and grows outwards, which is true for every halo."""
        return np.ones(len(theta), bool)

    def start(self, kT: float) -> FloatArray:
        """Parameters to begin the search with; `kT` is that of the whole cluster [keV]."""
        # Near the mass-temperature relation of Arnaud et al. (2005, A&A 441, 893).
        own = [np.log(4e14 * (kT / 5.0) ** 1.5), np.log(3.0), 0.25]
        return np.array([*self.gas.start(), *own])


MassModel = Forward | Backward

"""Density, pressure, entropy and cooling time of every region, from its kT and norm."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.brightness.beta_model import fit_beta_model
from pyxt_hpc.fit.cosmology import kpc_per_arcsec
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.gas.correlation import JointErrors, joint_errors
from pyxt_hpc.maps.gas.errors import Uncertain, propagate
from pyxt_hpc.maps.kinds.quantities import Quantity, map_measured
from pyxt_hpc.maps.painting.paint import Measured
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.spectra.models.gas import (
    Particles,
    cooling_by_metals,
    cooling_slope,
    cooling_time,
    electron_density,
)


@dataclass(frozen=True, eq=False)
class Thermodynamics:
    """Properties of the gas in the regions (n,), from their kT and norm.

    The errors combine those of kT and norm with their correlation. For density, pressure, entropy and cooling
    time they include the error of the abundance: its fitted error, or `abundance_error` if it was frozen.
    They do not include an error of the depth.

    Parameters
    ----------
    regions
        Fitted regions of the cluster.
    abundance_error
        Error of a frozen abundance [solar]; 0 for purely statistical errors.
    """

    regions: FittedRegions
    abundance_error: float

    @classmethod
    def of(cls, regions: FittedRegions) -> "Thermodynamics":
        """Gas properties with the configured error of a frozen abundance."""
        return cls(regions, regions.config.abundance_error)

    @cached_property
    def _norm(self) -> Measured:
        return self.regions.parameter("norm", 1.0 / self.regions.area_arcmin2)

    @cached_property
    def _kT(self) -> Measured:
        return self.regions.parameter("kT")

    @cached_property
    def _joint(self) -> JointErrors:
        return joint_errors(self.regions)

    @cached_property
    def _depth(self) -> tuple[np.ndarray, str]:
        """Depth at every region's centre [kpc], and a text about the model for it."""
        regions, config = self.regions, self.regions.config
        if config.depth_model == "constant":
            return np.full(len(regions.rows), config.depth_kpc), f"depth {config.depth_kpc:g} kpc everywhere"
        scale = kpc_per_arcsec(config) * regions.bundle.pixel_scale_arcsec
        if not scale:
            raise ConfigError(
                f"{config.path}: [maps] depth_model = beta needs a distance, but redshift is 0: use constant"
            )
        way_out = f"set [maps] depth_model = constant in {config.path}"
        model = fit_beta_model(regions.bundle, regions.brightness.value, otherwise=way_out)
        depth = model.depth(regions.radius.shape)[regions.rows["row"], regions.rows["col"]] * scale
        return depth, f"depth of a beta model, beta {model.beta:.3f}, core {model.core * scale:.0f} kpc"

    @property
    def _abundance_is_free(self) -> bool:
        return self.regions.settings["abundance_bounds"] is not None

    @property
    def _abundance(self) -> np.ndarray:
        """Abundance of every region, fitted or frozen [solar]."""
        return self.regions.rows["abundance"]

    @property
    def _table(self) -> str:
        return self.regions.bundle.abundance_table

    def _derived(
        self,
        value: np.ndarray,
        kT_power: np.ndarray | float,
        norm_power: float,
        metals_slope: np.ndarray | float = 0.0,
    ) -> Measured:
        """Value with errors, for a product of powers of kT and norm that may depend on the abundance.

        `metals_slope` is the derivative of ln(value) by the abundance at fixed kT and norm.
        """
        joint = self._joint
        if self._abundance_is_free:
            own = self.regions.parameter("abundance")
            metals = Uncertain(metals_slope, own.minus, own.plus)
        else:
            # Bias of ln(value) per solar abundance above that in the fit and the formula.
            slope = kT_power * joint.kT_shift + norm_power * joint.norm_shift - metals_slope
            metals = Uncertain(slope, self.abundance_error, self.abundance_error)
        on = Uncertain.power(kT_power, self._kT), Uncertain.power(norm_power, self._norm), metals
        return propagate(
            value,
            on,
            {(0, 1): joint.kT_norm, (0, 2): joint.kT_abundance, (1, 2): joint.norm_abundance},
        )

    def _pseudo(self, value: np.ndarray, norm_power: float) -> Measured:
        on = Uncertain.power(1.0, self._kT), Uncertain.power(norm_power, self._norm)
        return propagate(value, on, {(0, 1): self._joint.kT_norm})

    @cached_property
    def density(self) -> Measured:
        """n_e [cm^-3]."""
        particles = Particles.of(self._abundance, self._table)
        redshift = self.regions.bundle.redshift
        # The errors neglect the electrons of the metals, which change n_e by only 0.3% per solar.
        return self._derived(
            electron_density(self._norm.value, self._depth[0], redshift, particles), 0.0, 0.5
        )

    @property
    def pressure(self) -> Measured:
        """n_e kT [keV cm^-3]."""
        return self._derived(self.density.value * self._kT.value, 1.0, 0.5)

    @property
    def entropy(self) -> Measured:
        """kT n_e^(-2/3) [keV cm^2]."""
        with np.errstate(divide="ignore"):  # A norm of 0 has no entropy.
            return self._derived(self._kT.value * self.density.value ** (-2.0 / 3.0), 1.0, -1.0 / 3.0)

    @property
    def cooling_time(self) -> Measured:
        """3/2 (n_e + n_i) kT/(n_e n_H Lambda) [Gyr]."""
        gas = self._kT.value, self._abundance, self._table
        with np.errstate(divide="ignore"):
            value = cooling_time(self._kT.value, self.density.value, self._abundance, self._table)
        return self._derived(value, 1.0 - cooling_slope(*gas), -0.5, -cooling_by_metals(*gas))

    @property
    def pseudo_pressure(self) -> Measured:
        """kT (norm/area)^(1/2) [1e7 keV cm^(-5/2) arcmin^-1]."""
        return self._pseudo(self._kT.value * np.sqrt(self._norm.value), 0.5)

    @property
    def pseudo_entropy(self) -> Measured:
        """kT (norm/area)^(-1/3) [1e-5 keV cm^(5/3) arcmin^(2/3)]."""
        norm = self._norm.value / 10.0  # [1e15 cm^-5], since FITS units allow only whole powers of ten
        with np.errstate(divide="ignore"):
            return self._pseudo(self._kT.value * norm ** (-1.0 / 3.0), -1.0 / 3.0)

    @property
    def abundance(self) -> str:
        """Abundance of the gas, as text for headers."""
        if self._abundance_is_free:
            return "abundance as fitted"
        return f"abundance {self.regions.bundle.abundance:g} +- {self.abundance_error:g}"

    @property
    def depth(self) -> str:
        """Depth along the line of sight, as text for headers."""
        return self._depth[1]


_QUANTITIES = (
    Quantity(
        "pseudo_pressure",
        "Pseudo-pressure",
        "10**7 keV cm**(-5/2) arcmin-1",
        "kT (norm/area)^(1/2)",
        logarithmic=True,
    ),
    Quantity(
        "density",
        "Electron density",
        "cm-3",
        "n_e from norm = 1e-14/(4 pi (D_A (1+z))^2) int n_e n_H dV over circle x depth",
        logarithmic=True,
    ),
    Quantity("pressure", "Electron pressure", "keV cm-3", "n_e kT", logarithmic=True),
    Quantity(
        "pseudo_entropy",
        "Pseudo-entropy",
        "10**-5 keV cm**(5/3) arcmin**(2/3)",
        "kT (norm/area)^(-1/3)",
        logarithmic=True,
    ),
    Quantity("entropy", "Entropy", "keV cm2", "kT n_e^(-2/3)", logarithmic=True),
    Quantity(
        "cooling_time", "Cooling time", "Gyr", "3/2 (n_e + n_i) kT/(n_e n_H Lambda), APEC", logarithmic=True
    ),
)
"""Quantities named as the properties of `Thermodynamics`."""


PRESSURE_MAPS = ("pseudo_pressure", "density", "pressure")
ENTROPY_MAPS = ("pseudo_entropy", "entropy", "cooling_time")


def map_gas(gas: Thermodynamics, names: Sequence[str], mode: str) -> Iterator[MapProduct]:
    """Maps of quantities in `PRESSURE_MAPS` and `ENTROPY_MAPS`, with their error maps."""
    for quantity in _QUANTITIES:
        if quantity.name not in names:
            continue
        if not quantity.name.startswith("pseudo_"):
            quantity = replace(quantity, comment=f"{quantity.comment}; {gas.depth}; {gas.abundance}")
        yield from map_measured(gas.regions, quantity, getattr(gas, quantity.name), mode)

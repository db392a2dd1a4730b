"""Spherical clusters in hydrostatic equilibrium, as truths for the simulator.

Each line of sight has gas of many temperatures. Its emission is distributed over the temperatures of the
plasma table shell by shell, so that the spectrum of every pixel is exactly that of all gas along its line of
sight.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from astropy.cosmology import FlatLambdaCDM
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad

from pyxt_hpc.arrays.interpolate import bracket
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.profiles.gas.vikhlinin import GasDensity
from pyxt_hpc.profiles.mass.hydrostatic import gas_mass, hydrostatic_temperature
from pyxt_hpc.profiles.mass.nfw import NFW, critical_density
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import PIXEL_ARCSEC, ClusterTruth
from pyxt_hpc.spectra.models.abundances import DEFAULT_TABLE
from pyxt_hpc.spectra.models.gas import CM_PER_KPC, Particles
from pyxt_hpc.spectra.models.plasma import load_plasma

FloatArray = NDArray[np.float64]

_INNERMOST_KPC, _INFINITY_KPC, _STEPS_PER_E = 0.05, 1e6, 60
_EDGE_KPC = 5e3
"""Radius where the emission ends, far outside the field."""
_RINGS, _DEPTHS = 400, 800
_FINE_PIXELS, _SUBPIXELS = 30.0, 5


@dataclass(frozen=True)
class SphericalCluster:
    """Gas of a known density in equilibrium with the mass of an NFW halo, which includes the gas.

    The boundary condition of the temperature is zero pressure at infinity. The emission ends 5 Mpc from the
    centre.

    Parameters
    ----------
    density
        Electron density.
    M500, c500
        Mass [Msun] and concentration at 500 times the critical density.
    redshift
        Redshift in a flat universe with `hubble_constant` [km/s/Mpc] and `matter_density`.
    abundance
        Uniform abundance [solar].
    abundance_table
        XSPEC's name of the abundance table.
    """

    density: GasDensity
    M500: float
    c500: float
    redshift: float
    abundance: float = 0.3
    abundance_table: str = DEFAULT_TABLE
    hubble_constant: float = 70.0
    matter_density: float = 0.3

    @property
    def cosmology(self) -> FlatLambdaCDM:
        """Cosmology of the distances."""
        return FlatLambdaCDM(H0=self.hubble_constant, Om0=self.matter_density)

    @cached_property
    def kpc_per_arcsec(self) -> float:
        """Scale on the sky."""
        distance = self.cosmology.angular_diameter_distance(self.redshift).to_value("kpc")
        return float(distance * np.radians(1.0 / 3600.0))

    @cached_property
    def critical_density(self) -> float:
        """Critical density at the redshift [Msun kpc^-3]."""
        return critical_density(self.cosmology, self.redshift)

    @cached_property
    def halo(self) -> NFW:
        """Halo of the total mass."""
        return NFW.of(self.M500, self.c500, 500.0, self.critical_density)

    @cached_property
    def particles(self) -> Particles:
        """Composition of the gas."""
        return Particles.of(self.abundance, self.abundance_table)

    @cached_property
    def _grid(self) -> tuple[FloatArray, FloatArray]:
        """Radii [kpc], and kT [keV] at these radii."""
        span = np.log(_INFINITY_KPC / _INNERMOST_KPC)
        radius = np.geomspace(_INNERMOST_KPC, _INFINITY_KPC, int(_STEPS_PER_E * span))
        gas = self.density(radius), self.halo.mass(radius)
        return radius, hydrostatic_temperature(radius, *gas, float(self.particles.mu), outer_kT=0.0)

    def kT(self, radius: ArrayLike) -> FloatArray:
        """Temperature [keV] at radii [kpc] of 0.05 kpc to 100 Mpc."""
        at, kT = self._grid
        return np.exp(np.interp(np.log(radius), np.log(at[:-1]), np.log(kT[:-1])))

    def mass(self, radius: ArrayLike) -> FloatArray:
        """Mass [Msun] within radii [kpc]."""
        return self.halo.mass(radius)

    def gas_mass(self, radius: ArrayLike) -> FloatArray:
        """Mass of the gas [Msun] within radii [kpc] of 0.05 kpc to 1 Gpc."""
        at = self._grid[0]
        enclosed = gas_mass(at, self.density(at), float(self.particles.mu_e))
        return np.exp(np.interp(np.log(radius), np.log(at), np.log(enclosed)))

    def shells(self, edges_kpc: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Root mean square density and spectroscopic-like kT (n,) of shells between edges (n + 1,)."""
        n_e, kT = [], []
        for low, high in pairwise(edges_kpc):
            square, _ = quad(lambda r: self.density(r) ** 2 * r**2, low, high)
            n_e.append(np.sqrt(3.0 * square / (high**3 - low**3)))
            r = np.linspace(low, high, 400)
            weight = self.density(r) ** 2 * r**2 * self.kT(r) ** -0.75
            kT.append(np.sum(weight * self.kT(r)) / weight.sum())
        return np.array(n_e), np.array(kT)

    def emission(self, nodes: FloatArray, radius_arcsec: FloatArray) -> tuple[int, FloatArray]:
        """Norm per solid angle of the gas along lines of sight, by temperature.

        Parameters
        ----------
        nodes : (n_kT,)
            Ascending temperatures [keV], between which spectra are linear in kT.
        radius_arcsec : (n,)
            Projected distances from the centre.

        Returns
        -------
        first : int
            Index of the lowest temperature.
        norm : (n_used, n)
            Norm [1e14 cm^-5 arcsec^-2] at this temperature and the following ones.
        """
        projected = np.asarray(radius_arcsec, float) * self.kpc_per_arcsec
        depth = np.concatenate([[0.0], np.geomspace(0.05, _EDGE_KPC, _DEPTHS)])
        radius = np.sqrt(projected[:, None] ** 2 + depth**2)
        kT = self.kT(np.maximum(radius, _INNERMOST_KPC))
        squared = self.density(np.maximum(radius, _INNERMOST_KPC)) ** 2 * (radius < _EDGE_KPC)
        step = np.gradient(depth)
        step[[0, -1]] = 0.5 * (depth[1] - depth[0]), 0.5 * (depth[-1] - depth[-2])
        measure = 2.0 * squared / self.particles.electrons * step * CM_PER_KPC  # cm^-5
        lower, share = bracket(nodes, kT)
        first, n_used = int(lower.min()), int(lower.max() - lower.min()) + 2
        norm = np.zeros((n_used, len(projected)))
        ring = np.broadcast_to(np.arange(len(projected))[:, None], lower.shape)
        np.add.at(norm, (lower - first, ring), measure * (1.0 - share))
        np.add.at(norm, (lower - first + 1, ring), measure * share)
        # norm is 1e-14/(4 pi (D_A (1 + z))^2) int n_e n_H dV; per solid angle, the distance cancels.
        arcsec2 = np.radians(1.0 / 3600.0) ** 2
        return first, norm * 1e-14 * arcsec2 / (4.0 * np.pi * (1.0 + self.redshift) ** 2)


@dataclass(frozen=True)
class Clump:
    """A spherical cluster, and its offset to the west and north of the field's centre [arcsec]."""

    cluster: SphericalCluster
    west: float = 0.0
    north: float = 0.0


@dataclass(frozen=True, eq=False)
class SphericalTruth(ClusterTruth):
    """The sky with one spherical cluster, or with several that do not interact, as before a merger.

    The maps kT (spectroscopic-like, Mazzotta et al. 2004, MNRAS 354, 10) and norm are those of all gas along
    the line of sight. Photons are drawn from the clumps, not from these maps.
    """

    clumps: tuple[Clump, ...] = field(kw_only=True)

    def norms_at(self, nodes: FloatArray) -> Iterator[tuple[int, FloatArray, FloatArray]]:
        """Norm of every pixel at each temperature, as in `ClusterTruth.norms_at`."""
        emissions = [_Emission.of(clump.cluster, nodes) for clump in self.clumps]
        used = {node for emission in emissions for node in emission.nodes}
        for node in sorted(used):
            norm, metals = np.zeros(self.kT.shape), np.zeros(self.kT.shape)
            for clump, emission in zip(self.clumps, emissions, strict=True):
                if node in emission.nodes:
                    own = emission.painted(node, self._offsets(clump))
                    norm += own
                    metals += clump.cluster.abundance * own
            yield node, norm, metals

    def _offsets(self, clump: Clump) -> tuple[FloatArray, FloatArray]:
        """Offset of every pixel from a clump to the west and north [arcsec]."""
        half = np.array(self.kT.shape) // 2
        rows, cols = np.indices(self.kT.shape)
        return (cols - half[1]) * PIXEL_ARCSEC - clump.west, (rows - half[0]) * PIXEL_ARCSEC - clump.north


@dataclass(frozen=True, eq=False)
class _Emission:
    """Profiles (n_used, n_ring) of norm per arcsec^2 at projected radii."""

    first: int
    norm: FloatArray
    radius_arcsec: FloatArray

    @classmethod
    def of(cls, cluster: SphericalCluster, nodes: FloatArray) -> "_Emission":
        outermost = 0.999 * _EDGE_KPC / cluster.kpc_per_arcsec
        radius = np.geomspace(0.02, outermost, _RINGS)
        first, norm = cluster.emission(nodes, radius)
        return cls(first, norm, radius)

    @property
    def nodes(self) -> range:
        return range(self.first, self.first + len(self.norm))

    def painted(self, node: int, offsets: tuple[FloatArray, FloatArray]) -> FloatArray:
        """Norm of every pixel; near the centre, the mean over subpixels."""
        x, y = offsets
        result = self._at(node, np.hypot(x, y))
        near = np.hypot(x, y) < _FINE_PIXELS * PIXEL_ARCSEC
        parts = ((np.arange(_SUBPIXELS) + 0.5) / _SUBPIXELS - 0.5) * PIXEL_ARCSEC
        dx, dy = (d.ravel() for d in np.meshgrid(parts, parts))
        result[near] = self._at(node, np.hypot(x[near][:, None] + dx, y[near][:, None] + dy)).mean(axis=1)
        return result * PIXEL_ARCSEC**2

    def _at(self, node: int, radius_arcsec: FloatArray) -> FloatArray:
        at = np.log(np.maximum(radius_arcsec, self.radius_arcsec[0]))
        return np.interp(at, np.log(self.radius_arcsec), self.norm[node - self.first], right=0.0)


def spherical_truth(*clumps: Clump, field_arcmin: float = 14.0, nH: float = 0.05) -> SphericalTruth:
    """The sky of spherical clusters at one redshift, without point sources.

    Parameters
    ----------
    *clumps
        One or more clusters; the first gives redshift and abundance table.
    field_arcmin
        Side of the crop box; the side of the maps is 1.5 times larger.
    nH
        Column density [1e22 cm^-2].
    """
    ra, dec = 150.0, 20.0
    half = int(np.ceil(0.75 * field_arcmin * 60.0 / PIXEL_ARCSEC))
    wcs = tangent_plane(ra, dec, PIXEL_ARCSEC, crpix=(half + 1, half + 1))
    empty = np.zeros((2 * half + 1, 2 * half + 1))
    first = clumps[0].cluster
    truth = SphericalTruth(
        ra=ra,
        dec=dec,
        redshift=first.redshift,
        nH=nH,
        wcs=wcs,
        kT=empty,
        norm=empty,
        abundance=empty,
        field_arcmin=field_arcmin,
        abundance_table=first.abundance_table,
        clumps=clumps,
    )
    norm, metals, weight, weighted = (np.zeros(empty.shape) for _ in range(4))
    kT = load_plasma().kT
    for node, own, own_metals in truth.norms_at(kT):
        norm += own
        metals += own_metals
        weight += own * kT[node] ** -0.75
        weighted += own * kT[node] ** 0.25
    return replace(truth, kT=weighted / weight, norm=norm, abundance=metals / norm)


_PLAIN = GasDensity(n0=9e-3, rc=130.0, alpha=0.3, beta=0.6, rs=900.0, epsilon=1.8)
_COOL = GasDensity(
    n0=1.8e-2, rc=80.0, alpha=0.9, beta=0.57, rs=800.0, epsilon=2.0, n02=6e-2, rc2=15.0, beta2=1.0
)
RELAXED = SphericalCluster(_PLAIN, M500=6e14, c500=3.0, redshift=0.2)
"""A typical cluster of its mass, without a cool core and with R500 within the field of ACIS-I."""
COOL_CORE = SphericalCluster(_COOL, M500=6e14, c500=3.5, redshift=0.2)
SMALL = SphericalCluster(replace(_PLAIN, rc=90.0, rs=600.0, n0=8e-3), M500=2e14, c500=3.2, redshift=0.2)


@dataclass(frozen=True)
class Preset:
    """A sky to simulate, and the live time [s] of its observation."""

    clumps: tuple[Clump, ...]
    exposure_s: float

    def truth(self, field_arcmin: float = 14.0) -> SphericalTruth:
        """The sky."""
        return spherical_truth(*self.clumps, field_arcmin=field_arcmin)

    @property
    def plan(self) -> ObservationPlan:
        """One observation, pointed near the centre but away from the gaps between the chips."""
        return ObservationPlan("5001", 150.0168, 20.0047, 25.0, self.exposure_s, False)


PRESETS = {
    "relaxed": Preset((Clump(RELAXED),), 1e5),
    "cool core": Preset((Clump(COOL_CORE),), 1e5),
    "faint": Preset((Clump(RELAXED),), 5e3),
    "merger": Preset((Clump(RELAXED), Clump(SMALL, west=110.0, north=60.0)), 1e5),
}
"""``faint``: the relaxed cluster with a short exposure, in which ten annuli have about 300 counts each.
``merger``: a second cluster 415 kpc to the northwest of the first, so that sectors differ."""

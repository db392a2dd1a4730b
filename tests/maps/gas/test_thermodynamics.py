"""Gas of simulated clusters, from photons: densities and pressures, and whether their errors are right."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fitted_in_memory import fit_in_memory
from simulated_fronts import shock_free_cluster

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.fit.cosmology import kpc_per_arcsec
from pyxt_hpc.fit.extraction.extract import disc_areas, disc_sums
from pyxt_hpc.fit.inputs import config_of
from pyxt_hpc.fit.region_map import RegionMap
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.gas.thermodynamics import Thermodynamics
from pyxt_hpc.maps.painting.paint import Measured
from pyxt_hpc.simulate.cluster import PIXEL_ARCSEC, ClusterTruth
from pyxt_hpc.simulate.direct import observe_directly, scaled_to
from pyxt_hpc.simulate.truth import spectroscopic_like_temperature
from pyxt_hpc.spectra.models.gas import cooling_time
from pyxt_hpc.stages.bins.scale_map import circles_of

COUNTS = 5e5


def apart(rows: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Indices of circles that share no pixel and lie within the image, as many as come first."""
    row, col, radius = (rows[name].astype(float) for name in ("row", "col", "radius"))
    inside = (np.minimum(row, col) > radius) & (np.maximum(row, col) < min(shape) - 1 - radius)
    chosen: list[int] = []
    for i in np.random.default_rng(3).permutation(np.flatnonzero(inside)):
        distance = np.hypot(row[chosen] - row[i], col[chosen] - col[i])
        if np.all(distance > radius[chosen] + radius[i]):
            chosen.append(int(i))
    return np.array(chosen)


def fit_apart(bundle: Bundle, **keys: object) -> FittedRegions:
    """Fits of circles that share no photons, and of no others: S/N 40, of resolution 2."""
    radius, _ = circles_of(bundle, replace(config_of(bundle), signal_to_noise=40.0, **keys))  # type: ignore[arg-type]
    regions = RegionMap(radius).select(2).table
    row, col = (regions[name][apart(regions, radius.shape)] for name in ("row", "col"))
    chosen = np.zeros_like(radius)
    chosen[row, col] = radius[row, col]
    return fit_in_memory(bundle, radius=chosen, **keys)  # type: ignore[arg-type]


class Field:
    """A cluster with its gas as measured and as it is, in circles that share no photons."""

    def __init__(self, truth: ClusterTruth, seed: int, abundance_error: float, **keys: object) -> None:
        bundle = observe_directly(truth, np.random.default_rng([seed, 1]))
        regions = fit_apart(bundle, **keys)
        self.gas = Thermodynamics(regions, abundance_error)
        circles = tuple(regions.rows[name] for name in ("row", "col", "radius"))
        images = np.stack([truth.density**2, truth.norm, truth.norm * truth.abundance])
        squared, norm, metals = disc_sums(*circles, images).T
        self.rows = regions.rows
        # the emission of a circle belongs to the root of its mean square density
        self.density = np.sqrt(squared / disc_areas(circles[2]))
        self.kT = spectroscopic_like_temperature(truth.kT, truth.norm, *circles)
        self.abundance = metals / norm

    def deviations(self, measured: Measured, truth: np.ndarray) -> np.ndarray:
        """(n_circle,) in units of the error on the side of the truth."""
        error = np.where(measured.value > truth, measured.minus, measured.plus)
        return (measured.value - truth) / error

    def ratio(self, measured: Measured, truth: np.ndarray) -> np.ndarray:
        """(n_circle,) measured over true."""
        return measured.value / truth


def with_abundance(truth: ClusterTruth, abundance: float) -> ClusterTruth:
    return scaled_to(replace(truth, abundance=np.full_like(truth.kT, abundance)), COUNTS)


def cool_core(seed: int) -> ClusterTruth:
    return shock_free_cluster("cool core", np.random.default_rng([seed, 0])).cluster


@cache
def as_frozen() -> tuple[Field, ...]:
    """Cool cores whose abundance is the one that the fits take; S/N 40."""
    return tuple(Field(with_abundance(cool_core(seed), 0.3), seed, 0.0) for seed in range(501, 508))


@cache
def richer_and_poorer() -> tuple[Field, ...]:
    """Half of them have 0.1 solar more than the fits take, half less."""
    pairs = zip(range(511, 517), [0.2, 0.4] * 3, strict=True)
    return tuple(Field(with_abundance(cool_core(seed), z), seed, 0.1) for seed, z in pairs)


@cache
def with_gradients() -> tuple[Field, ...]:
    """Abundance 0.45 in the middle, 0.25 outside, and free in the fits."""
    return tuple(Field(cool_core(seed), seed, 0.1, free_abundance=True) for seed in range(521, 525))


def chi2_per_circle(fields: tuple[Field, ...], quantity: str) -> float:
    """Mean square deviation in all circles of all fields; those with an open interval have no error."""
    found = []
    for field in fields:
        gas, kT, density = field.gas, field.kT, field.density
        measured, truth = {
            "kT": (gas.regions.parameter("kT"), kT),
            "density": (gas.density, density),
            "pressure": (gas.pressure, density * kT),
            "entropy": (gas.entropy, kT * density ** (-2 / 3)),
            "cooling time": (gas.cooling_time, cooling_time(kT, density, field.abundance)),
        }[quantity]
        found.append(field.deviations(measured, truth))
    return float(np.nanmean(np.concatenate(found) ** 2))


def test_temperatures_have_the_right_errors() -> None:
    """883 circles of S/N 40 that share no photons: chi^2 per circle is known to 0.05."""
    assert sum(len(field.rows) for field in as_frozen()) > 800
    assert 0.9 < chi2_per_circle(as_frozen(), "kT") < 1.1


@pytest.mark.parametrize("quantity", ["density", "pressure", "entropy", "cooling time"])
def test_gas_has_the_right_errors_where_the_abundance_is_known(quantity: str) -> None:
    assert 0.85 < chi2_per_circle(as_frozen(), quantity) < 1.15


@pytest.mark.parametrize("quantity", ["density", "pressure", "entropy", "cooling time"])
def test_gas_has_the_right_errors_where_the_abundance_is_off_by_its_error(quantity: str) -> None:
    assert 0.85 < chi2_per_circle(richer_and_poorer(), quantity) < 1.15


@pytest.mark.parametrize("quantity", ["density", "pressure", "entropy", "cooling time"])
def test_gas_has_the_right_errors_where_the_abundance_is_free(quantity: str) -> None:
    assert 0.85 < chi2_per_circle(with_gradients(), quantity) < 1.15


def test_the_abundance_matters() -> None:
    """Without the error of the abundance, errors of the density are too small; other tests miss this."""
    fields = tuple(copy_of(field, abundance_error=0.0) for field in richer_and_poorer())
    assert chi2_per_circle(fields, "density") > 1.5


def copy_of(field: Field, abundance_error: float) -> Field:
    other = copy(field)
    other.gas = replace(field.gas, abundance_error=abundance_error)
    return other


@pytest.mark.parametrize("fields", [as_frozen, richer_and_poorer])
def test_density_and_pressure_within_five_percent(fields: Callable[[], tuple[Field, ...]]) -> None:
    """Where S/N is 40: every density but one in a hundred, and pressures without bias.

    One circle's kT is known to 8%, so its pressure is: pressures are within 5% on average, in the middle of
    the cluster and outside, and scatter as their errors say (above).
    """
    density, pressure, radius = (
        np.concatenate(parts)
        for parts in zip(
            *(
                (
                    field.ratio(field.gas.density, field.density),
                    field.ratio(field.gas.pressure, field.density * field.kT),
                    field.rows["radius"],
                )
                for field in fields()
            ),
            strict=True,
        )
    )
    assert np.mean(np.abs(density - 1.0) < 0.05) > 0.99
    for part in np.array_split(np.argsort(radius), 3):  # small circles are those in the middle
        assert np.median(density[part]) == pytest.approx(1.0, abs=0.01)
        assert np.median(pressure[part]) == pytest.approx(1.0, abs=0.02)
        assert np.mean(pressure[part]) == pytest.approx(1.0, abs=0.03)


def sphere(side: int, core: float, beta: float, density: float, kT: float) -> tuple[ClusterTruth, np.ndarray]:
    """An isothermal spherical beta model, and n_e [cm^-3] where each line of sight passes the centre nearest.

    n_e = density (1 + r^2/core^2)^(-3 beta/2), core in pixels; the emission is summed along the line.
    """
    like = shock_free_cluster("round", np.random.default_rng(0), side).cluster
    y, x = np.indices((side, side)) - 0.5 * (side - 1)
    along = np.sinh(np.linspace(0.0, np.arcsinh(300.0), 600)) * core
    squared = (1.0 + (y**2 + x**2)[..., None] / core**2 + (along / core) ** 2) ** (-3.0 * beta)
    middle = density * squared[..., 0] ** 0.5
    depth_pixels = 2.0 * np.trapezoid(squared, along, axis=-1) / squared[..., 0]
    flat = replace(like, kT=np.full(y.shape, kT), abundance=np.full(y.shape, 0.3), norm=np.ones(y.shape))
    config = ClusterConfig(
        path=Path("a.ini"), name="a", observation_ids=("1",), redshift=like.redshift, nH=like.nH,
        abundance=0.3, data_directory=Path(),
    )  # fmt: skip
    depth = depth_pixels * PIXEL_ARCSEC * kpc_per_arcsec(config)
    # norm 1 in 1000 kpc has the density flat.density
    return replace(flat, norm=(middle / flat.density) ** 2 * depth / flat.depth_kpc), middle


@pytest.mark.parametrize(("core", "beta"), [(20.0, 0.6), (35.0, 0.75)])
def test_depth_of_a_beta_model_gives_the_density_of_a_sphere(core: float, beta: float) -> None:
    truth, middle = sphere(160, core, beta, 6e-3, 6.0)
    bundle = observe_directly(truth, np.random.default_rng(8), exposure_s=1e6)
    regions = fit_apart(bundle, depth_model="beta")
    rows, gas = regions.rows, Thermodynamics(regions, 0.0)
    sums = disc_sums(rows["row"], rows["col"], rows["radius"], middle[None] ** 2)[:, 0]
    ratio = gas.density.value / np.sqrt(sums / disc_areas(rows["radius"]))
    distance = np.hypot(rows["row"] - 79.5, rows["col"] - 79.5)
    for low, high in ((0.0, core), (core, 2 * core), (2 * core, 80.0)):
        part = (distance >= low) & (distance < high)
        assert part.sum() > 3
        assert np.median(ratio[part]) == pytest.approx(1.0, abs=0.03)

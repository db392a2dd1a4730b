"""Templates hold the folded model: equal to direct evaluation, and to XSPEC's counts."""

import h5py
import numpy as np
import pytest

from pyxt_hpc.chandra.ogip.response import Arf, Rmf, fold
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.spectra.models.absorption import transmission
from pyxt_hpc.spectra.models.plasma import apec
from pyxt_hpc.spectra.templates import SourceModel, Templates


def response() -> tuple[Arf, Rmf]:
    """A small detector: Gaussian resolution of 100 eV, a smooth area."""
    edges = np.linspace(0.3, 8.0, 201)
    bounds = np.linspace(0.2, 8.2, 81)
    energy, channel = 0.5 * (edges[1:] + edges[:-1]), 0.5 * (bounds[1:] + bounds[:-1])
    matrix = np.exp(-0.5 * ((channel - energy[:, None]) / 0.05) ** 2)
    matrix /= matrix.sum(axis=1, keepdims=True)
    arf = Arf(edges[:-1], edges[1:], 400.0 * np.exp(-0.5 * ((energy - 1.5) / 2.0) ** 2))
    one, zero = np.ones(200, dtype=np.int32), np.zeros(200, dtype=np.int32)
    return arf, Rmf(edges[:-1], edges[1:], one, zero, 80 * one, matrix.ravel(), bounds[:-1], bounds[1:], 1)


def interpolate(templates: Templates, kT: float, abundance: float) -> np.ndarray:
    i = int(np.searchsorted(templates.kT, kT)) - 1
    upper = (kT - templates.kT[i]) / (templates.kT[i + 1] - templates.kT[i])
    model = templates.at_abundance(abundance)
    return (1 - upper) * model[i] + upper * model[i + 1]


@pytest.mark.parametrize("absorption", ["phabs", "tbabs"])
@pytest.mark.parametrize("abundance_table", ["angr", "lodd"])
def test_templates_equal_direct_folding(absorption, abundance_table):
    arf, rmf = response()
    templates = SourceModel(
        redshift=0.2, nH=0.07, absorption=absorption, abundance_table=abundance_table
    ).fold(arf, rmf)
    edges = np.append(arf.energy_lo, arf.energy_hi[-1])
    through = transmission(edges, 0.07, absorption, abundance_table=abundance_table)
    for kT, abundance in ((0.1, 1.0), (0.73, 0.3), (4.1, 0.0), (11.0, 2.5), (39.0, 0.3)):
        direct = fold(apec(edges, kT, abundance, 0.2, abundance_table) * through, arf, rmf)
        np.testing.assert_allclose(interpolate(templates, kT, abundance), direct, rtol=1e-10)


def test_templates_of_one_observation_are_small():
    templates = SourceModel(redshift=0.1, nH=0.05).fold(*response())
    assert templates.hhe.shape == templates.metals.shape == (len(templates.kT), 80)
    assert templates.hhe.dtype == np.float64


def test_hotter_gas_is_harder():
    arf, rmf = response()
    model = SourceModel(redshift=0.1, nH=0.05).fold(arf, rmf).at_abundance(0.3)
    hardness = model[:, 40:].sum(axis=1) / model[:, :20].sum(axis=1)
    assert np.all(np.diff(hardness) > 0)


def test_unknown_absorption_is_named():
    with pytest.raises(ConfigError, match="wabs"):
        SourceModel(redshift=0.1, nH=0.05, absorption="wabs").fold(*response())


def test_counts_of_xspec_through_a_real_response(shared):
    arf, rmf = (
        read(shared / "chandra" / f"9774.{kind}") for read, kind in ((read_arf, "arf"), (read_rmf, "rmf"))
    )
    with h5py.File(shared / "reference" / "xspec_reference.h5") as file:
        temperatures, expected = file["kT"][()], file["folded_9774"][()]
    templates = SourceModel(redshift=0.07, nH=0.05).fold(arf, rmf)
    energy = 0.5 * (rmf.channel_lo_keV + rmf.channel_hi_keV)
    band = (energy > 0.5) & (energy < 8.0)
    for kT, counts in zip(temperatures, expected, strict=True):
        ours = interpolate(templates, kT, 0.3) * 1e-3 * 75141.227687398
        np.testing.assert_allclose(ours[band], counts[band], rtol=5e-3)
        np.testing.assert_allclose(ours[band].sum(), counts[band].sum(), rtol=1e-4)

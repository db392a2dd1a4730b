"""Radiated power: against XSPEC, and how it is integrated from AtomDB's layout."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy import units

from pyxt_hpc.data.makers.cooling_table import continuum_power, make_table
from pyxt_hpc.spectra.models.cooling import cooling_table
from pyxt_hpc.spectra.models.plasma import load_plasma

REFERENCE = json.loads(Path(__file__).parents[1].joinpath("xspec_reference.json").read_text())
ERG_PER_KEV = float(units.keV.to(units.erg))


@pytest.mark.parametrize("case", REFERENCE["cooling_1.5eV_200keV"], ids=lambda case: str(case["parameters"]))
def test_power_is_that_of_xspec(case):
    abundance, table = case["parameters"]
    nodes, hhe, metals = cooling_table(table)
    kT = np.array(REFERENCE["cooling_kT_keV"])
    power = np.interp(kT, nodes, hhe) + abundance * np.interp(kT, nodes, metals)
    xspec = np.array(case["erg_cm3_per_s"])
    # above 100 keV AtomDB, and so XSPEC, has no continuum: at kT 20 that is half a percent
    np.testing.assert_allclose(power, xspec, rtol=0.006)
    np.testing.assert_allclose(power[kT < 10], xspec[kT < 10], rtol=0.002)


def test_temperatures_are_those_of_the_spectra():
    np.testing.assert_allclose(cooling_table()[0], load_plasma().kT, rtol=1e-6)


def test_a_straight_line_and_its_tail():
    """Photons exp(-E/kT)/E: the power of bremsstrahlung is kT, wherever the nodes end."""
    kT = 40.0
    for last in (5.0, 100.0, 400.0):
        x = np.geomspace(1e-3, last, 4000)
        assert continuum_power(x, np.exp(-x / kT) / x, kT) == pytest.approx(kT, rel=1e-3)
    # of a constant, exact with two nodes
    assert continuum_power(np.array([1.0, 3.0]), np.array([2.0, 2.0]), 0.0) == pytest.approx(8.0)


def test_every_line_and_both_continua_count(tmp_path, small_atomdb):
    """Those at 60 keV too, which the table of spectra leaves out."""
    make_table(*small_atomdb(tmp_path), tmp_path / "power.txt")
    table = np.loadtxt(tmp_path / "power.txt")
    np.testing.assert_allclose(table[:, 0], [1.0, 2.0])
    flat = 0.5 * (50.0**2 - 0.1**2)
    for kT, *power in table:
        beyond = 50.0 * kT
        assert power[0] == pytest.approx(1e-17 * (flat + beyond) * ERG_PER_KEV, rel=1e-4)
        assert power[7] == pytest.approx(1e-24 * 0.654 * ERG_PER_KEV, rel=1e-4)
        iron = 2e-18 * (flat + beyond) + 3e-17 * kT * 6.7 + 60.0
        assert power[25] == pytest.approx(iron * ERG_PER_KEV, rel=1e-4)

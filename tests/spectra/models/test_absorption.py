"""Absorption: XSPEC's transmission, published numbers, exact laws."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.spectra.models.absorption import CROSS_SECTIONS, load_cross_sections, transmission

EDGES = np.linspace(0.5, 8.0, 751)
XSPEC = json.loads(Path(__file__).parents[1].joinpath("xspec_reference.json").read_text())["absorbers"]
REFERENCE = {
    "phabs_angr_bcmc": {},
    "phabs_angr_vern": {"cross_sections": "vern"},
    "phabs_wilm_bcmc": {"abundance_table": "wilm"},
    "phabs_wilm_vern": {"cross_sections": "vern", "abundance_table": "wilm"},
    "tbabs_wilm": {"model": "tbabs", "abundance_table": "wilm"},
}


@pytest.mark.parametrize("case", XSPEC, ids=lambda case: str(case["parameters"]))
def test_transmission_of_xspec(case):
    ours = transmission(EDGES, *case["parameters"])[case["bins"]]
    np.testing.assert_allclose(ours, case["transmission"], rtol=1e-3)


@pytest.mark.parametrize("name", REFERENCE)
def test_transmission_of_xspec_from_300_eV(shared, name):
    with h5py.File(shared / "reference" / "xspec_reference.h5") as file:
        edges, columns, expected = (file[key][()] for key in ("energy_edges", "nH", name))
    band = (edges[:-1] > 0.2999) & (edges[1:] < 10.001)
    for nH, row in zip(columns, expected, strict=True):
        np.testing.assert_allclose(transmission(edges, nH, **REFERENCE[name])[band], row[band], rtol=1e-3)


def test_cross_section_at_1_keV():
    # Morrison & McCammon 1983 (ApJ 270, 119): 2.42e-22 cm^2 per H atom, with 30% less iron than angr
    assert -np.log(transmission([0.999, 1.001], 1.0)[0]) == pytest.approx(2.42, rel=0.1)
    # Wilms et al. 2000, section 3: lower, for the interstellar medium has fewer metals
    wilm = -np.log(transmission([0.999, 1.001], 1.0, "tbabs", abundance_table="wilm")[0])
    assert 0.6 * 2.42 < wilm < 0.95 * 2.42


@pytest.mark.parametrize("arguments", REFERENCE.values(), ids=REFERENCE)
def test_columns_multiply(arguments):
    both = transmission(EDGES, 0.3, **arguments)
    parts = transmission(EDGES, 0.1, **arguments) * transmission(EDGES, 0.2, **arguments)
    np.testing.assert_allclose(both, parts, rtol=1e-12)
    np.testing.assert_array_equal(transmission(EDGES, 0.0, **arguments), 1.0)


def test_iron_edge_inside_a_bin_counts_by_its_position():
    # Fe K of Balucinska-Church & McCammon lies at 7111.2 eV
    depth = [
        -np.log(transmission([7.1112 - below, 7.1212 - below], 1.0)[0])
        for below in (0.02, 0.008, 0.002, -0.02)
    ]
    assert np.all(np.diff(depth) > 0)
    assert depth[-1] / depth[0] > 1.9


def test_energies_outside_the_table_are_finite():
    for arguments in REFERENCE.values():
        values = transmission([0.0, 0.01, 0.2, 15.0, 30.0], 0.1, **arguments)
        assert np.all((values >= 0) & (values <= 1))
        assert values[-1] > 0.999


def test_tables_are_ordered():
    assert tuple(load_cross_sections()) == CROSS_SECTIONS
    for table in load_cross_sections().values():
        assert np.all(np.diff(table.log_energy) > 0)
        assert np.all(np.isfinite(table.log_sigma_e3))


@pytest.mark.parametrize(
    ("arguments", "listed"),
    [
        ({"model": "wabs"}, "phabs, tbabs"),
        ({"cross_sections": "obcm"}, "bcmc, vern"),
        ({"abundance_table": "solar"}, "angr"),
    ],
)
def test_unknown_names_are_answered_with_a_list(arguments, listed):
    with pytest.raises(ConfigError, match=listed):
        transmission(EDGES, 0.1, **arguments)

"""APEC from the compact table: XSPEC's numbers, and photon book-keeping."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from pyxt_hpc.chandra.ogip.response import fold
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf
from pyxt_hpc.errors import ConfigError, DamagedFile
from pyxt_hpc.spectra.models.plasma import apec, decode_log, encode_log, load_plasma, read_plasma

EDGES = np.linspace(0.5, 8.0, 751)
XSPEC = json.loads(Path(__file__).parents[1].joinpath("xspec_reference.json").read_text())["plasmas"]


@pytest.mark.parametrize("case", XSPEC, ids=lambda case: str(case["parameters"]))
def test_bands_of_xspec(case):
    # bands with sharp ends, so a line that sits on one counts in full; through a response it is below 0.3%
    bands = apec(EDGES, *case["parameters"]).reshape(-1, 10).sum(axis=1)
    expected = np.array(case["photons_100eV"])
    np.testing.assert_allclose(bands, expected, rtol=6e-3)
    for part in (slice(0, 15), slice(15, None)):
        np.testing.assert_allclose(bands[part].sum(), expected[part].sum(), rtol=5e-4)


def test_bands_of_xspec_through_a_response(shared):
    arf, rmf = (
        read(shared / "chandra" / f"9774.{kind}") for read, kind in ((read_arf, "arf"), (read_rmf, "rmf"))
    )
    with h5py.File(shared / "reference" / "xspec_reference.h5") as file:
        reference = {name: file[name][()] for name in ("energy_edges", "kT", "Z", "redshift", "apec")}
    first = int(np.argmin(abs(reference["energy_edges"] - arf.energy_lo[0])))
    bins = slice(first, first + len(arf.area))
    edges = reference["energy_edges"][first : first + len(arf.area) + 1]
    np.testing.assert_allclose(edges[:-1], arf.energy_lo, atol=1e-5)
    table = load_plasma()
    flux = np.empty((*reference["apec"].shape[:3], len(arf.area)))
    for z, redshift in enumerate(reference["redshift"]):
        hhe, metals = table.components(edges, redshift)
        for k, kT in enumerate(reference["kT"]):
            i = np.searchsorted(table.kT, kT, side="right") - 1
            upper = (kT - table.kT[i]) / (table.kT[i + 1] - table.kT[i])
            for a, abundance in enumerate(reference["Z"]):
                below, above = hhe[i : i + 2] + abundance * metals[i : i + 2]
                flux[k, a, z] = (1 - upper) * below + upper * above
    ours, theirs = fold(flux, arf, rmf), fold(reference["apec"][..., bins], arf, rmf)
    energy = 0.5 * (rmf.channel_lo_keV + rmf.channel_hi_keV)
    for lo, hi, tolerance in [
        *((e, e + 0.1, 5e-3) for e in np.arange(0.5, 7.95, 0.1)),
        (0.5, 2, 1e-3),
        (2, 8, 1e-3),
    ]:
        band = (energy >= lo) & (energy < hi)
        np.testing.assert_allclose(ours[..., band].sum(-1), theirs[..., band].sum(-1), rtol=tolerance)


def test_photons_fall_between_13_and_14_keV_as_in_xspec():
    """AtomDB's own step: XSPEC 12 (library 6.35.1) with AtomDB 3.0.9 gives these photons in 0.7-8 keV."""
    xspec = {11.49: 0.996459, 12.89: 0.990769, 13.66: 0.972268, 14.47: 0.968897, 16.23: 0.960743}
    edges = np.linspace(0.7, 8.0, 731)
    reference = apec(edges, 10.24, 0.3, 0.1, "angr").sum()
    for kT, photons in xspec.items():
        assert apec(edges, kT, 0.3, 0.1, "angr").sum() / reference == pytest.approx(photons, abs=2e-4)


def test_linear_in_abundance_and_between_temperatures():
    table = load_plasma()
    hhe, metals = table.components(EDGES, 0.1)
    node = 60
    np.testing.assert_allclose(
        apec(EDGES, table.kT[node], 0.4, 0.1), hhe[node] + 0.4 * metals[node], rtol=1e-12
    )
    kT = 0.25 * table.kT[node] + 0.75 * table.kT[node + 1]
    between = 0.25 * hhe[node] + 0.75 * hhe[node + 1]
    np.testing.assert_allclose(apec(EDGES, kT, 0.0, 0.1), between, rtol=1e-12)
    np.testing.assert_allclose(apec(EDGES, table.kT[-1], 0.0, 0.1), hhe[-1], rtol=1e-12)


def test_redshift_is_a_shift():
    near = apec(EDGES * 1.3, 4.0, 0.5, 0.0)
    np.testing.assert_allclose(apec(EDGES, 4.0, 0.5, 0.3), near / 1.3, rtol=1e-9)


def test_no_photon_is_lost_or_negative():
    edges = np.linspace(0.2, 12.0, 1181)
    for fine, coarse in zip(
        load_plasma().components(edges, 0.2), load_plasma().components(edges[::20], 0.2), strict=True
    ):
        assert fine.min() >= 0.0
        np.testing.assert_allclose(fine.reshape(len(fine), -1, 20).sum(-1), coarse, rtol=1e-6, atol=1e-30)


def test_energies_outside_the_table_are_empty():
    assert np.all(apec([0.01, 0.02, 0.05], 4.0, 1.0, 0.0) == 0.0)
    assert np.all(apec([41.0, 42.0], 4.0, 1.0, 0.0) == 0.0)


def test_iron_line_of_a_hot_cluster_is_where_it_is():
    edges = np.linspace(6.0, 7.2, 121)
    metals = apec(edges, 5.0, 1.0, 0.0) - apec(edges, 5.0, 0.0, 0.0)
    assert edges[np.argmax(metals)] == pytest.approx(6.70, abs=0.011)  # Fe XXV w, 6.7004 keV


def test_wrong_arguments_are_named():
    with pytest.raises(ConfigError, match=r"'solar'.*angr.*lodd"):
        apec(EDGES, 4.0, 1.0, 0.0, "solar")
    with pytest.raises(ConfigError, match="99"):
        apec(EDGES, 99.0, 1.0, 0.0)
    with pytest.raises(ConfigError, match="ascend"):
        apec(EDGES[::-1], 4.0, 1.0, 0.0)


def test_temperatures_cover_clusters():
    kT = load_plasma().kT
    assert kT[0] < 0.09
    assert kT[-1] > 40.0
    assert np.all(np.diff(kT) > 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logarithmic_code_keeps_values_and_zeros(dtype):
    values = 10.0 ** np.random.default_rng(5).uniform(-37, -10, size=(3, 50)).astype(dtype)
    values[:, ::7] = 0.0
    decoded = decode_log(encode_log(values))
    np.testing.assert_allclose(decoded, values, rtol=1.3e-4, atol=0.0)
    assert np.all((decoded == 0) == (values == 0))


def test_damaged_table_is_named(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"no table")
    with pytest.raises(DamagedFile, match=r"x\.h5"):
        read_plasma(tmp_path / "x.h5")

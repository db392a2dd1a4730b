"""Making the plasma table: no photon is lost on the way from AtomDB's layout to ours."""

import numpy as np
import pytest

from pyxt_hpc.data.makers import cooling_table
from pyxt_hpc.data.makers.plasma_table import bin_edges, bin_integrals, make_table
from pyxt_hpc.errors import DamagedFile, MissingInput
from pyxt_hpc.spectra.models.plasma import read_plasma


def test_bin_integrals_of_a_broken_line():
    energy, density = np.array([1.0, 2.0, 4.0]), np.array([0.0, 2.0, 1.0])
    # triangle, then trapezium; bins that begin before, straddle the node and end after
    edges = np.array([0.0, 1.0, 1.5, 3.0, 5.0])
    np.testing.assert_allclose(
        bin_integrals(energy, density, edges), [0.0, 0.25, 0.75 + 1.75, 1.25], rtol=1e-14
    )


def test_bin_integrals_keep_a_faint_tail():
    energy = np.linspace(1.0, 21.0, 2001)
    density = np.exp(-energy / 0.3)
    edges = np.array([20.0, 20.5, 21.0])
    expected = 0.3 * -np.diff(np.exp(-edges / 0.3))
    np.testing.assert_allclose(bin_integrals(energy, density, edges), expected, rtol=2e-4)


def test_making_a_table(tmp_path, small_atomdb):
    make_table(*small_atomdb(tmp_path), tmp_path / "table.h5")
    table = read_plasma(tmp_path / "table.h5")
    np.testing.assert_allclose(table.kT, [1.0, 2.0])
    np.testing.assert_allclose(table.line_energy, [6.7], rtol=1e-6)
    np.testing.assert_array_equal(table.line_element, [26])
    hhe, metals = table.components([0.5, 0.65, 0.66, 6.69, 6.71], 0.0)
    width = np.diff([0.5, 0.65, 0.66, 6.69, 6.71])
    np.testing.assert_allclose(hhe, 1e14 * np.array([1e-17 * width] * 2), rtol=2e-4)
    line = np.array([[0, 0, 0, 3e-17], [0, 0, 0, 6e-17]])
    np.testing.assert_allclose(metals, 1e14 * (2e-18 * width + line), rtol=2e-4)


def test_weak_lines_join_the_bins(tmp_path, small_atomdb):
    make_table(*small_atomdb(tmp_path), tmp_path / "table.h5")
    table = read_plasma(tmp_path / "table.h5")
    oxygen = table.bin_emissivity[7]
    np.testing.assert_allclose(oxygen.sum(axis=1), 1e-24, rtol=2e-4)
    bin_of_line = np.searchsorted(table.bin_edges, 0.654) - 1
    np.testing.assert_array_equal(np.argmax(oxygen, axis=1), bin_of_line)


def test_bins_are_fine_where_iron_shines():
    edges = bin_edges()
    width = np.diff(edges)
    assert np.all(width <= 0.0061 * edges[:-1])
    assert width[(edges[:-1] > 6.2) & (edges[:-1] < 8.4)].max() < 0.0031


@pytest.mark.parametrize("make", [make_table, cooling_table.make_table])
def test_missing_or_mixed_atomdb_files_are_refused(tmp_path, small_atomdb, make):
    (tmp_path / "other").mkdir()
    line, coco = small_atomdb(tmp_path)
    _, other = small_atomdb(tmp_path / "other", kT=(1.0, 3.0))
    with pytest.raises(DamagedFile, match="different temperatures"):
        make(line, other, tmp_path / "table.h5")
    with pytest.raises(MissingInput):
        make(tmp_path / "no.fits", coco, tmp_path / "table.h5")
    assert not (tmp_path / "table.h5").exists()

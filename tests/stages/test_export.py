"""What other programs are given is what the store holds."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS

from pyxt_hpc.config.cluster import ClusterConfig, read_config
from pyxt_hpc.errors import DamagedFile, ForeignProduct, MissingInput
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.fit.inputs import IN_BOTH, fit_settings
from pyxt_hpc.layout import Layout
from pyxt_hpc.stages import export
from pyxt_hpc.store.rows import COLUMNS, REGION_DTYPE, Status, blank_rows, packed_observations
from pyxt_hpc.store.writer import ResultsStore

HEAD = "region,T,T_err_+,T_err_-,Norm,Norm_err_+,Norm_err_-,reduced_x2,obs_id"


def bundle_of(config: ClusterConfig) -> SimpleNamespace:
    """What counts of a bundle here."""
    return SimpleNamespace(
        fingerprint="b" * 64,
        observations=[SimpleNamespace(dataset="4940"), SimpleNamespace(dataset="17")],
        wcs=WCS(naxis=2),
        obsids=config.observation_ids,
        **{name: getattr(config, name) for name in IN_BOTH},
    )


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterConfig:
    """A cluster of two observations, whose bundle is thought of."""
    monkeypatch.setattr(export, "read_cluster_bundle", bundle_of)
    path = tmp_path / "A.ini"
    path.write_text(
        "[cluster_info]\nname = A\nobservation_ids = 4940, 17\nredshift = 0.1\n"
        "hydrogen_column_density = 0.05\nabundance = 0.3\n"
    )
    return read_config(path)


@pytest.fixture
def stored(config: ClusterConfig) -> np.ndarray:
    """Six regions: done, open below, open above, bad, in quarantine, pending."""
    regions = np.zeros(6, REGION_DTYPE)
    regions["region"] = [3, 5, 6, 8, 9, 12]
    rows = blank_rows(regions)
    rows["kT"][:3], rows["kT_lo"][:3], rows["kT_hi"][:3] = 4.0, [3.5, np.nan, 3.0], [5.0, 4.5, np.nan]
    rows["norm"][:3], rows["norm_lo"][:3], rows["norm_hi"][:3] = 1e-3, 0.75e-3, 1.5e-3
    rows["statistic"][:3], rows["dof"][:3] = 110.0, 100
    rows["observations"][:3] = packed_observations(np.array([[True, True], [True, False], [False, True]]))
    rows["flags"][1:4] = FitFlag.KT_LO_OPEN, FitFlag.KT_HI_OPEN, FitFlag.NO_COUNTS
    status = np.array([Status.DONE] * 3 + [Status.BAD, Status.QUARANTINED], np.uint8)
    path = Layout.of(config).results
    settings = fit_settings(config, bundle_of(config), SimpleNamespace(origin="image"), 2)
    with ResultsStore.create(path, regions=regions, fingerprint="abc", settings=settings) as store:
        store.write(np.arange(5), rows[:5], status, {4: "died, twice"})
    return rows


def lines(path: Path) -> list[list[str]]:
    """Rows of a CSV file without the head, which is checked."""
    head, *rest = path.read_text().splitlines()
    assert head == HEAD
    return list(csv.reader(rest))


def test_csv_files_of_clusterpyxt(config: ClusterConfig, stored: np.ndarray) -> None:
    paths = export.export_fits(config, "csv")
    folder = Layout.of(config).acb
    assert [path.name for path in paths] == [
        f"A_{kind}_spectral_fits.csv" for kind in ("best", "worst", "all")
    ]
    assert {path.parent for path in paths} == {folder}
    best, worst, everything = (lines(path) for path in paths)
    (only,) = best
    assert [only[0], only[-1]] == ["3", "4940,17"]
    np.testing.assert_allclose([float(text) for text in only[1:-1]], [4, 1, -0.5, 1e-3, 5e-4, -2.5e-4, 1.1])
    assert [row[0] for row in worst] == ["5", "6", "8", "9"]
    assert worst[0][1:4] == ["4.0", "0.5", ""]
    assert worst[1][1:4] == ["4.0", "", "-1.0"]
    assert worst[1][-1] == "17"
    assert worst[2] == ["8"] + [""] * 8
    assert sorted(everything) == sorted(best + worst)
    assert [row[0] for row in everything] == ["3", "5", "6", "8", "9"]


def test_ecsv_table_has_every_column_with_its_unit(
    config: ClusterConfig, stored: np.ndarray, tmp_path: Path
) -> None:
    (path,) = export.export_fits(config, "ecsv", tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "A_spectral_fits.ecsv"
    table = Table.read(path, format="ascii.ecsv")
    assert table.colnames[: len(COLUMNS)] == list(COLUMNS)
    assert len(table) == 5
    for name in COLUMNS:
        np.testing.assert_array_equal(np.ma.filled(table[name], np.nan), stored[name][:5], err_msg=name)
        assert table[name].dtype == stored[name].dtype, name
        assert table[name].description.startswith(COLUMNS[name][2])
    assert str(table["kT"].unit) == "keV"
    assert (0.01 * table["norm"].unit).to("cm-5").value == pytest.approx(1e12)
    assert table["obs_id"].tolist()[:3] == ["4940,17", "4940", "17"]
    assert table["status"].tolist() == ["done"] * 3 + ["bad", "quarantined"]
    assert str(table["message"][4]) == "died, twice"
    assert table["flag_names"].tolist()[1:4] == ["KT_LO_OPEN", "KT_HI_OPEN", "NO_COUNTS"]
    assert (str(table["ra"].unit), str(table["dec"].unit)) == ("deg", "deg")
    assert table.meta["settings"]["resolution"] == 2
    assert table.meta["regions not yet finished"] == 1


def test_another_bundle_is_refused(
    config: ClusterConfig, stored: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SimpleNamespace(fingerprint="c" * 64, observations=[])
    monkeypatch.setattr(export, "read_cluster_bundle", lambda config: other)
    with pytest.raises(ForeignProduct, match=r"from bundle bbbb.*now is cccc"):
        export.export_fits(config, "csv")


def test_nothing_to_export_or_nowhere_to(config: ClusterConfig, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="fit-spectra"):
        export.export_fits(config, "csv")


def test_folder_that_is_a_file(config: ClusterConfig, stored: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(DamagedFile, match="cannot be written"):
        export.export_fits(config, "csv", tmp_path / "taken")

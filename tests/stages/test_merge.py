"""Parts joined are the whole, whichever are there, and nothing foreign gets in."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pyxt_hpc.config.cluster import ClusterConfig, read_config
from pyxt_hpc.errors import DamagedFile, ForeignProduct, MissingInput, StoreInUse
from pyxt_hpc.fit.region_map import RegionMap
from pyxt_hpc.layout import Layout
from pyxt_hpc.provenance import fingerprint
from pyxt_hpc.stages import merge
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import ROW_DTYPE, Status, blank_rows, is_final
from pyxt_hpc.store.writer import ResultsStore

SETTINGS = {"bundle": "b", "resolution": 2, "nH": 0.05}


@pytest.fixture
def scale_map(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Radii of some hundred circles."""
    rng = np.random.default_rng(5)
    radius = np.where(rng.random((50, 60)) < 0.7, rng.uniform(1, 9, (50, 60)), 0).astype(np.float32)
    monkeypatch.setattr(merge, "read_cluster_bundle", lambda config: SimpleNamespace())
    monkeypatch.setattr(merge, "read_region_map", lambda config, bundle: RegionMap(radius))
    return radius


@pytest.fixture
def config(tmp_path: Path) -> ClusterConfig:
    """A cluster."""
    path = tmp_path / "A.ini"
    path.write_text(
        "[cluster_info]\nname = A\nobservation_ids = 17\nredshift = 0.1\n"
        "hydrogen_column_density = 0.05\nabundance = 0.3\n"
    )
    return read_config(path)


def fitted(regions: np.ndarray) -> np.ndarray:
    """Rows whose numbers follow from the region's."""
    rows = blank_rows(regions)
    rows["kT"], rows["statistic"] = np.sqrt(regions["region"]), regions["region"] / 7.0
    return rows


def status_of(regions: np.ndarray) -> np.ndarray:
    """Some are bad, one is in quarantine."""
    status = np.where(regions["region"] % 10 == 3, Status.BAD, Status.DONE)
    return np.where(regions["region"] == regions["region"][:1], Status.QUARANTINED, status).astype(np.uint8)


def make_part(
    config: ClusterConfig, radius: np.ndarray, part: int, n_parts: int, *, leave: int = 0, **changes: float
) -> Path:
    """A part store of which all but the last regions are finished."""
    settings = SETTINGS | changes
    regions = RegionMap(radius).select(int(settings["resolution"])).table
    identity = fingerprint({**settings, "regions": regions})
    own = regions[part - 1 :: n_parts]
    path = Layout.of(config).part_results(part, n_parts)
    with ResultsStore.create(
        path, regions=own, fingerprint=identity, settings=settings | {"slice": f"{part}/{n_parts}"}
    ) as store:
        some = np.arange(len(own) - leave)
        messages = {i: f"message of {own['region'][i]}" for i in np.flatnonzero(status_of(own) > Status.DONE)}
        store.write(some, fitted(own[some]), status_of(own)[some], messages)
    return path


def test_parts_joined_equal_the_whole(config: ClusterConfig, scale_map: np.ndarray) -> None:
    for part in (3, 1, 4, 2):
        make_part(config, scale_map, part, 4)
    summary = merge.merge_results(config)
    regions = RegionMap(scale_map).select(2).table
    n = len(regions)
    assert (summary.regions, summary.finished, summary.added, summary.missing) == (n, n, n, ())
    found = read_store(Layout.of(config).results)
    assert found.rows.tobytes() == fitted(regions).tobytes()
    assert found.settings == SETTINGS
    quarantined = np.isin(regions["region"], regions["region"][:4])
    np.testing.assert_array_equal(found.status == Status.QUARANTINED, quarantined)
    others = ~quarantined
    np.testing.assert_array_equal(found.status[others], status_of(regions)[others])
    assert found.messages == {
        i: f"message of {regions['region'][i]}" for i in np.flatnonzero(found.status > Status.DONE)
    }
    again = merge.merge_results(config)
    assert (again.finished, again.added) == (n, 0)
    identity = fingerprint({**SETTINGS, "regions": regions})
    with ResultsStore.open_for_resume(summary.results, fingerprint=identity, settings=SETTINGS) as store:
        assert not len(store.pending())


def test_missing_parts_are_listed_and_joined_later(config: ClusterConfig, scale_map: np.ndarray) -> None:
    make_part(config, scale_map, 1, 3, leave=5)
    make_part(config, scale_map, 3, 3)
    layout = Layout.of(config)
    summary = merge.merge_results(config)
    n = len(RegionMap(scale_map).select(2).table)
    assert summary.missing == (layout.part_results(2, 3),)
    assert [part.regions - part.finished for part in summary.parts] == [5, 0]
    assert summary.finished == int(is_final(read_store(layout.results).status).sum()) < n
    make_part(config, scale_map, 2, 3)
    make_part(config, scale_map, 1, 3)
    assert merge.merge_results(config).finished == n


def test_what_the_store_has_is_kept_unless_it_is_bad(config: ClusterConfig, scale_map: np.ndarray) -> None:
    make_part(config, scale_map, 1, 1)
    regions = RegionMap(scale_map).select(2).table
    path = Layout.of(config).results
    here = np.flatnonzero(status_of(regions) == Status.DONE)[:2]
    rows = fitted(regions[here])
    rows["kT"] = 99.0
    identity = fingerprint({**SETTINGS, "regions": regions})
    with ResultsStore.create(path, regions=regions, fingerprint=identity, settings=SETTINGS) as store:
        store.write(here, rows, np.array([Status.DONE, Status.BAD], np.uint8))
    merge.merge_results(config)
    found = read_store(path)
    assert found.rows["kT"][here[0]] == 99.0
    assert found.rows["kT"][here[1]] == np.sqrt(regions["region"][here[1]])
    assert (found.status[here] == Status.DONE).all()


def test_mixed_parts_are_refused_by_what_differs(config: ClusterConfig, scale_map: np.ndarray) -> None:
    make_part(config, scale_map, 1, 2)
    make_part(config, scale_map, 2, 2, nH=0.06)
    with pytest.raises(ForeignProduct, match=r"nH is 0\.05 in the first, 0\.06 in the second"):
        merge.merge_results(config)
    assert not Layout.of(config).results.exists()


def test_store_of_other_settings_is_refused(config: ClusterConfig, scale_map: np.ndarray) -> None:
    layout = Layout.of(config)
    make_part(config, scale_map, 1, 1, nH=0.06).rename(layout.part_results(9, 9))
    make_part(config, scale_map, 1, 1)
    layout.part_results(9, 9).unlink()
    regions = RegionMap(scale_map).select(2).table
    ResultsStore.create(layout.results, regions=regions, fingerprint="other", settings=SETTINGS).close()
    before = layout.results.read_bytes()
    with pytest.raises(ForeignProduct, match=r"A_results\.h5 do not belong together \(other regions\)"):
        merge.merge_results(config)
    assert layout.results.read_bytes() == before


def test_parts_of_another_scale_map_are_refused(config: ClusterConfig, scale_map: np.ndarray) -> None:
    make_part(config, scale_map, 1, 1)
    scale_map[10:20] = 0
    with pytest.raises(ForeignProduct, match=r"regions are not those of .*scale_map"):
        merge.merge_results(config)


def test_damaged_rows_are_left_out_and_damaged_parts_named(
    config: ClusterConfig, scale_map: np.ndarray
) -> None:
    path = make_part(config, scale_map, 1, 1)
    content = bytearray(path.read_bytes())
    regions = RegionMap(scale_map).select(2).table
    content[content.index(fitted(regions[5:6]).tobytes()) + ROW_DTYPE.itemsize - 1] ^= 1
    path.write_bytes(content)
    summary = merge.merge_results(config)
    assert summary.finished == len(regions) - 1
    status = read_store(summary.results).status
    np.testing.assert_array_equal(np.flatnonzero(status == Status.PENDING), [5])
    path.write_bytes(content[:-1])
    with pytest.raises(DamagedFile, match=r"part-0001-of-0001\.h5"):
        merge.merge_results(config)


def test_store_that_is_being_written_is_left_alone(config: ClusterConfig, scale_map: np.ndarray) -> None:
    make_part(config, scale_map, 1, 1)
    regions = RegionMap(scale_map).select(2).table
    identity = fingerprint({**SETTINGS, "regions": regions})
    path = Layout.of(config).results
    with (
        ResultsStore.create(path, regions=regions, fingerprint=identity, settings=SETTINGS),
        pytest.raises(StoreInUse),
    ):
        merge.merge_results(config)


def test_no_parts_and_a_whole_store_named_like_one(config: ClusterConfig, scale_map: np.ndarray) -> None:
    layout = Layout.of(config)
    with pytest.raises(MissingInput, match="--slice I/N"):
        merge.merge_results(config)
    regions = RegionMap(scale_map).select(2).table
    part = layout.part_results(1, 2)
    ResultsStore.create(part, regions=regions, fingerprint="abc", settings=SETTINGS).close()
    with pytest.raises(ForeignProduct, match="not a part"):
        merge.merge_results(config)

"""Rows that move between parts and the whole store are not lost, mixed up, or taken from another run."""

from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.errors import DamagedFile, ForeignProduct, StoreInUse
from pyxt_hpc.layout import Layout
from pyxt_hpc.store import parts as parts_module
from pyxt_hpc.store.parts import (
    SLICE,
    absorb_parts,
    discard_parts,
    remove_absorbed_parts,
    slice_of,
    take_over,
)
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import REGION_DTYPE, Status, blank_rows, is_final
from pyxt_hpc.store.writer import ResultsStore

N = 2003


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Paths of a cluster."""
    layout = Layout(tmp_path, "A")
    layout.acb.mkdir(parents=True)
    return layout


def regions() -> np.ndarray:
    """Regions with gaps in their numbers, as at resolution 2."""
    made = np.zeros(N, REGION_DTYPE)
    made["region"] = 1 + np.cumsum(np.random.default_rng(3).integers(1, 9, N))
    return made


def make(path: Path, own: np.ndarray, settings: dict[str, str], some: np.ndarray, kT: float) -> Path:
    """A store in which some positions are finished."""
    with ResultsStore.create(path, regions=own, fingerprint="f", settings=settings) as store:
        rows = blank_rows(own[some])
        rows["kT"], rows["norm"] = kT, own["region"][some]
        bad = own["region"][some] % 10 == 0
        status = np.where(bad, Status.BAD, Status.DONE).astype(np.uint8)
        words = {int(i): f"region {own['region'][i]}" for i in some[bad]}
        store.write(some, rows, status, words)
    return path


def make_part(layout: Layout, number: int, n_parts: int, share: float = 1.0, kT: float = 1.0) -> Path:
    """A part with the first of its regions finished."""
    own = regions()[slice_of((number, n_parts))]
    path = layout.part_results(number, n_parts)
    return make(path, own, {SLICE: f"{number}/{n_parts}"}, np.arange(int(share * len(own))), kT)


def whole_store(layout: Layout) -> ResultsStore:
    """The whole store, opened or created."""
    if layout.results.exists():
        return ResultsStore.open_for_resume(layout.results, fingerprint="f", settings={})
    return ResultsStore.create(layout.results, regions=regions(), fingerprint="f", settings={})


def assert_finished_rows_are_right(path: Path, n_finished: int) -> None:
    """Check that every finished row belongs to its region and has its message."""
    found = read_store(path)
    final = is_final(found.status)
    assert final.sum() == n_finished
    assert len(found.torn) == 0
    np.testing.assert_array_equal(found.rows["norm"][final], found.rows["region"][final])
    assert found.messages == {
        int(i): f"region {found.rows['region'][i]}" for i in np.flatnonzero(found.status == Status.BAD)
    }


def test_whole_takes_in_parts_of_any_number_and_parts_take_over_from_it(layout: Layout) -> None:
    make(layout.results, regions(), {}, np.arange(500), 5.0)
    make_part(layout, 2, 3, 0.5)
    make_part(layout, 1, 4, 0.5)
    with whole_store(layout) as store:
        absorb_parts(store, regions()["region"], layout)
        n_finished = int(is_final(store.status()).sum())
        assert (store.column("kT")[:500] == 5.0).all(), "finished rows were replaced"
    expected = set(range(500)) | set(range(1, N, 3)[: int(0.5 * len(range(1, N, 3)))])
    expected |= set(range(0, N, 4)[: int(0.5 * len(range(0, N, 4)))])
    assert n_finished == len(expected)
    assert_finished_rows_are_right(layout.results, n_finished)
    own = regions()[slice_of((2, 5))]
    path = layout.part_results(2, 5)
    with ResultsStore.create(path, regions=own, fingerprint="f", settings={SLICE: "2/5"}) as part:
        take_over(part, own["region"], layout.results)
    assert_finished_rows_are_right(path, len(expected & set(range(1, N, 5))))


def test_nothing_is_taken_from_strangers_or_under_the_hands_of_a_writer(layout: Layout) -> None:
    make(layout.results, regions(), {}, np.arange(500), 5.0)
    own = regions()[slice_of((1, 2))]
    path = layout.part_results(1, 2)
    with ResultsStore.create(path, regions=own, fingerprint="other", settings={SLICE: "1/2"}) as part:
        take_over(part, own["region"], layout.results)
        assert not is_final(part.status()).any()
        with whole_store(layout) as store, pytest.raises(StoreInUse, match="part-0001-of-0002"):
            absorb_parts(store, regions()["region"], layout)
        with pytest.raises(StoreInUse):
            discard_parts(layout)
        with whole_store(layout) as store:
            remove_absorbed_parts(store, regions()["region"], layout)
        assert path.exists()
    with whole_store(layout) as store, pytest.raises(ForeignProduct, match="do not belong together"):
        absorb_parts(store, regions()["region"], layout)
    discard_parts(layout)
    assert [found.name for found in layout.acb.iterdir()] == ["A_results.h5"]


def what_stays(layout: Layout) -> list[str]:
    """Parts that are left after the whole store has removed those that it contains."""
    with whole_store(layout) as store:
        remove_absorbed_parts(store, regions()["region"], layout)
    return [path.name for path in layout.all_part_results()]


def test_only_parts_of_which_the_whole_has_everything_go(
    layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    make(layout.results, regions(), {}, np.arange(1000), 5.0)
    make_part(layout, 1, 3, 0.4)  # all of it is there
    make_part(layout, 2, 3, 1.0)  # has more than the whole
    part = make_part(layout, 3, 3, 0.4)
    foreign = make(layout.part_results(4, 9), regions()[:5], {SLICE: "4/9", "nH": "1"}, np.arange(2), 1.0)
    damaged = make_part(layout, 5, 9, 0.1)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert what_stays(layout) == [layout.part_results(2, 3).name, foreign.name, damaged.name]
    assert not part.exists()
    assert caplog.text.count("is kept") == 3


def test_a_part_with_a_fit_of_a_region_that_is_bad_in_the_whole_stays(layout: Layout) -> None:
    with whole_store(layout) as store:
        rows = blank_rows(regions())
        store.write(np.arange(N), rows, np.full(N, Status.BAD, np.uint8))
    make_part(layout, 1, 2)
    assert len(what_stays(layout)) == 1


def test_no_part_goes_when_a_row_of_the_whole_is_not_as_it_was_written(layout: Layout) -> None:
    make_part(layout, 1, 2)
    with whole_store(layout) as store:
        absorb_parts(store, regions()["region"], layout)
        content = layout.results.read_bytes()
        at = content.index(read_store(store.path).rows[4:5].tobytes())
        with layout.results.open("r+b") as file:  # a status byte alone is no proof of a row
            file.seek(at + 60)
            file.write(bytes([content[at + 60] ^ 1]))
        with pytest.raises(DamagedFile, match="1 rows differ from the data written"):
            remove_absorbed_parts(store, regions()["region"], layout)
    assert len(layout.all_part_results()) == 1


def test_a_part_with_regions_that_the_whole_has_not(layout: Layout) -> None:
    other = regions()[:7]
    other["region"] = np.setdiff1d(np.arange(1, 60), regions()["region"])[:7]
    make(layout.part_results(1, 300), other, {SLICE: "1/300"}, np.arange(7), 1.0)
    with whole_store(layout) as store:
        before = read_store(store.path).rows.tobytes()
        with pytest.raises(DamagedFile, match=r"part-0001-of-0300.* contains regions that do not exist"):
            absorb_parts(store, regions()["region"], layout)
        assert read_store(store.path).rows.tobytes() == before
    assert len(what_stays(layout)) == 1


def test_a_part_stays_if_the_whole_numbers_its_regions_in_another_way(layout: Layout) -> None:
    make_part(layout, 1, 2)
    with whole_store(layout) as store:
        absorb_parts(store, regions()["region"], layout)
        remove_absorbed_parts(store, regions()["region"] + 1, layout)
    assert len(layout.all_part_results()) == 1
    assert what_stays(layout) == []
    assert what_stays(layout) == []  # without any part, there is nothing to do


def test_parts_of_unequal_length_are_merged_in_blocks(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "BLOCK", 128)
    monkeypatch.setattr(parts_module, "MIN_BLOCK", 16)
    monkeypatch.setattr(parts_module, "MAX_OPEN_PARTS", 3)
    for part in ((1, 2), (4, 4), (2, 8), (6, 8)):
        make_part(layout, *part)
    with whole_store(layout) as store:
        absorb_parts(store, regions()["region"], layout)
    assert_finished_rows_are_right(layout.results, N)

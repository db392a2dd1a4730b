"""What moves between parts and whole is neither lost, nor mixed up, nor taken from strangers."""

from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.errors import ForeignProduct, StoreInUse
from pyxt_hpc.layout import Layout
from pyxt_hpc.stages.parts import (
    SLICE,
    absorb_parts,
    remove_parts,
    slice_of,
    take_over,
)
from pyxt_hpc.store import REGION_DTYPE, ResultsStore, Status, blank_rows, is_final, read_results

N = 2003


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A cluster's paths."""
    layout = Layout(tmp_path, "A")
    layout.acb.mkdir(parents=True)
    return layout


def regions() -> np.ndarray:
    """Numbers with gaps, as at resolution 2."""
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
    """The whole's, opened or made."""
    if layout.results.exists():
        return ResultsStore.open_for_resume(layout.results, fingerprint="f", settings={})
    return ResultsStore.create(layout.results, regions=regions(), fingerprint="f", settings={})


def assert_finished_rows_are_right(path: Path, n_finished: int) -> None:
    """Every finished row is its own region's, with its words."""
    found = read_results(path)
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
            remove_parts(layout)
        remove_parts(layout, but_in_use=True)
        assert path.exists()
    with whole_store(layout) as store, pytest.raises(ForeignProduct, match="do not belong together"):
        absorb_parts(store, regions()["region"], layout)
    remove_parts(layout)
    assert [found.name for found in layout.acb.iterdir()] == ["A_results.h5"]

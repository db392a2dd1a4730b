"""Any rows are read back, any damage is noticed, and regions may be split into parts in any way."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyxt_hpc.errors import DamagedFile, ForeignProduct
from pyxt_hpc.files.tablefile import TableFile, create_tables
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.parts import SLICE, Part, absorb_parts, slice_of
from pyxt_hpc.store.reader import Results, read_store
from pyxt_hpc.store.rows import REGION_DTYPE, Status, blank_rows, is_final
from pyxt_hpc.store.writer import ResultsStore

FINAL = [Status.DONE, Status.BAD, Status.QUARANTINED]

often = settings(max_examples=80, deadline=None, database=None)
seldom = settings(max_examples=20, deadline=None, database=None)
"""Where every example makes several stores, each forced to the disk."""

columns = st.lists(st.sampled_from(["<i4", "<f8", "u1", "S7", "(3,)<u2"]), min_size=1, max_size=4)
dtypes = st.sampled_from(["u1", "<u4", "<f8"]).map(np.dtype) | columns.map(
    lambda kinds: np.dtype([(f"c{i}", kind) for i, kind in enumerate(kinds)])
)
tables_of_any_kind = st.dictionaries(
    st.sampled_from(["rows", "crc", "status", "a"]), st.tuples(dtypes, st.integers(1, 400)), min_size=1
)


@often
@given(tables=tables_of_any_kind, data=st.data())
def test_any_rows_written_are_read_back(tables: dict[str, tuple[np.dtype, int]], data: st.DataObject) -> None:
    expected = {name: np.zeros(n, dtype) for name, (dtype, n) in tables.items()}
    of_file = {"schema": "test", "version": 1}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.h5"
        create_tables(path, tables, **of_file, description={}, notes={})
        found = {name: dtype for name, (dtype, _) in tables.items()}
        with TableFile(path, **of_file, tables=found, remedy="", writable=True) as file:
            for _ in range(data.draw(st.integers(0, 6))):
                name = data.draw(st.sampled_from(sorted(tables)))
                dtype, n = tables[name]
                start = data.draw(st.integers(0, n))
                size = data.draw(st.integers(0, n - start))
                seed = data.draw(st.integers(0, 2**32 - 1))
                content = np.random.default_rng(seed).bytes(size * dtype.itemsize)
                rows = np.frombuffer(content, dtype)
                file.write(name, start, rows)
                expected[name][start : start + size] = rows
        with TableFile(path, **of_file, tables=found, remedy="") as file:
            for name, values in expected.items():
                assert file.read(name).tobytes() == values.tobytes()
                first = data.draw(st.integers(0, len(values)))
                assert file.read(name, first, len(values)).tobytes() == values[first:].tobytes()
        with h5py.File(path, "r") as hdf5:
            for name, values in expected.items():
                assert hdf5[name][()].tobytes() == values.tobytes()


N = 40


@cache
def written() -> tuple[bytes, Results]:
    """A store in which every third region is pending, and its contents."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "A_results.h5"
        regions = np.zeros(N, REGION_DTYPE)
        regions["region"] = np.arange(1, N + 1)
        with ResultsStore.create(path, regions=regions, fingerprint="f", settings={"nH": 0.05}) as store:
            some = np.flatnonzero(np.arange(N) % 3)
            rows = blank_rows(regions[some])
            rows["kT"] = np.sqrt(some)
            status = np.array([FINAL[i % 3] for i in range(len(some))], np.uint8)
            words = {int(i): f"words of {i}" for i in some[status != Status.DONE]}
            store.write(some, rows, status, words)
        return path.read_bytes(), read_store(path)


def read(content: bytes) -> Results:
    """Contents of a file with these bytes, or the error."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "A_results.h5"
        path.write_bytes(content)
        return read_store(path)


def table_at(name: str) -> tuple[int, int]:
    """Positions of the first byte of a table, and of the byte after it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "A_results.h5"
        path.write_bytes(written()[0])
        with h5py.File(path, "r") as file:
            start = file[name].id.get_offset()
            return start, start + file[name].id.get_storage_size()


@often
@given(share=st.floats(0.0, 1.0, exclude_max=True))
def test_any_truncation_is_noticed(share: float) -> None:
    content, _ = written()
    with pytest.raises(DamagedFile, match="start again"):
        read(content[: int(share * len(content))])


@often
@given(place=st.floats(0.0, 1.0, exclude_max=True), mask=st.integers(1, 255))
@example(place=0.0, mask=32)  # which makes a letter of the checksum a capital
def test_any_flipped_byte_before_the_tables_is_noticed(place: float, mask: int) -> None:
    content, at = bytearray(written()[0]), int(place * min(table_at(name)[0] for name in ("rows", "crc")))
    content[at] ^= mask
    with pytest.raises((DamagedFile, ForeignProduct)):
        read(bytes(content))


@often
@given(data=st.data(), mask=st.integers(1, 255), name=st.sampled_from(["rows", "crc", "status", "messages"]))
def test_nothing_that_a_flipped_byte_changed_is_believed(data: st.DataObject, mask: int, name: str) -> None:
    content, before = bytearray(written()[0]), written()[1]
    start, stop = table_at(name)
    at = data.draw(st.integers(start, stop - 1))
    content[at] ^= mask
    after = read(bytes(content))
    believed = is_final(after.status)
    assert after.rows[believed].tobytes() == before.rows[believed].tobytes()
    np.testing.assert_array_equal(after.status[believed], before.status[believed])
    assert after.messages.items() <= before.messages.items()
    lost = np.flatnonzero(is_final(before.status) & ~believed)
    if name == "messages":
        assert len(lost) == 0
    else:  # the row of this byte, and no other
        own = (at - start) * N // (stop - start)
        assert lost.tolist() == ([own] if is_final(before.status)[own] else [])


parts_of_a_whole = st.integers(2, 5).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n)))
splits = st.lists(parts_of_a_whole, unique=True, min_size=1, max_size=5)


@seldom
@given(n=st.integers(1, 60), parts=splits, seed=st.integers(0, 2**32 - 1))
def test_any_split_into_parts_gives_the_whole(n: int, parts: list[Part], seed: int) -> None:
    """A region is done if it is done in any store, else as in one of them; a second merge changes nothing."""
    rng = np.random.default_rng(seed)
    regions = np.zeros(n, REGION_DTYPE)
    regions["region"] = np.cumsum(rng.integers(1, 4, n))
    said: list[set[int]] = [set() for _ in range(n)]
    whole = {"fingerprint": "f", "settings": {}}
    with TemporaryDirectory() as folder:
        layout = Layout(Path(folder), "A")
        for part in [(1, 1), *parts]:
            own = np.arange(n)[slice_of(part)]
            if not len(own):
                continue
            some = np.flatnonzero(rng.random(len(own)) < rng.random())
            status = rng.choice(FINAL, len(some)).astype(np.uint8)
            if part == (1, 1):
                store = ResultsStore.create(layout.results, regions=regions, **whole)
            else:
                identity = {"fingerprint": "f", "settings": {SLICE: "{}/{}".format(*part)}}
                store = ResultsStore.create(layout.part_results(*part), regions=regions[own], **identity)
            with store:
                store.write(some, rows_of(regions[own[some]], status), status)
            for i, found in zip(own[some], status.tolist(), strict=True):
                said[i].add(found)
        for _ in range(2):
            with ResultsStore.open_for_resume(layout.results, **whole) as store:
                absorb_parts(store, regions["region"], layout)
        merged = read_store(layout.results)
    assert not len(merged.torn)
    for found, of_region in zip(merged.status.tolist(), said, strict=True):
        assert found in (of_region or {Status.PENDING})
        assert (found == Status.DONE) == (Status.DONE in of_region)
    final = is_final(merged.status)
    assert merged.rows[final].tobytes() == rows_of(regions, merged.status)[final].tobytes()


def rows_of(regions: np.ndarray, status: np.ndarray) -> np.ndarray:
    """Rows with the numbers of these regions and these states."""
    rows = blank_rows(regions)
    rows["kT"] = regions["region"] + 0.1 * status
    return rows

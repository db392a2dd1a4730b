"""A run continues the store that exists, or creates a new one."""

import os
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.errors import ForeignProduct
from pyxt_hpc.files.lock import SILENCE_SECONDS, lock_path
from pyxt_hpc.store.parts import SLICE
from pyxt_hpc.store.resume import StoreContents, resume_or_create
from pyxt_hpc.store.rows import REGION_DTYPE, Status, blank_rows


@pytest.fixture
def contents() -> StoreContents:
    """Contents of five regions."""
    regions = np.zeros(5, REGION_DTYPE)
    regions["region"] = np.arange(1, 6)
    return StoreContents(regions, {"nH": 0.05}, "f")


def test_a_store_is_gone_on_with_only_if_that_is_asked_for(tmp_path: Path, contents: StoreContents) -> None:
    path = tmp_path / "A_results.h5"
    with resume_or_create(path, contents) as store:
        store.write(np.arange(2), blank_rows(contents.regions[:2]), np.full(2, Status.DONE, np.uint8))
    with resume_or_create(path, contents) as store:
        assert list(store.pending()) == [2, 3, 4]
    other = StoreContents(contents.regions, {"nH": 0.06}, "g")
    with pytest.raises(ForeignProduct, match=r"nH was 0\.05, now 0\.06"):
        resume_or_create(path, other)
    with resume_or_create(path, other, resume=False) as store:
        assert len(store.pending()) == 5


def test_a_lock_without_a_store_is_no_store(tmp_path: Path, contents: StoreContents) -> None:
    path = tmp_path / "A_results.h5"
    lock = lock_path(path)
    lock.write_text('{"owner": {')  # truncated, of an unknown process
    os.utime(lock, (0.0, lock.stat().st_mtime - SILENCE_SECONDS - 5))
    with resume_or_create(path, contents) as store:
        assert len(store.pending()) == 5


def test_parts_have_their_own_regions_and_the_fingerprint_of_all(contents: StoreContents) -> None:
    part = contents.of_part((2, 3))
    assert part.regions["region"].tolist() == [2, 5]
    assert part.fingerprint == contents.fingerprint
    assert part.settings == {"nH": 0.05, SLICE: "2/3"}

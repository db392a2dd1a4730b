"""Of a file that is there compressed and not, one is left: no observation is stuck after a kill."""

import gzip
from pathlib import Path

import pytest

from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.preprocess.ciao.copies import settle_copies

CONTENT = bytes(range(256)) * 10_000  # more than is compared at once


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    unpacked = tmp_path / "acisf04940_000N003_evt1.fits"
    packed = Path(f"{unpacked}.gz")
    packed.write_bytes(gzip.compress(CONTENT, 1))
    return unpacked, packed


def test_a_copy_is_what_chandra_repro_would_have_left(pair: tuple[Path, Path]) -> None:
    unpacked, packed = pair
    unpacked.write_bytes(CONTENT)
    settle_copies(unpacked.parent)
    assert unpacked.read_bytes() == CONTENT
    assert not packed.exists()


@pytest.mark.parametrize("length", [0, 1, 5000, len(CONTENT) - 1])
def test_half_an_unpacked_file_goes(pair: tuple[Path, Path], length: int) -> None:
    unpacked, packed = pair
    unpacked.write_bytes(CONTENT[:length])
    settle_copies(unpacked.parent)
    assert not unpacked.exists()
    assert gzip.decompress(packed.read_bytes()) == CONTENT


@pytest.mark.parametrize("other", [CONTENT[:-1] + b"x", b"x" + CONTENT[1:], CONTENT + b"x"])
def test_which_of_two_is_for_a_person_to_say(pair: tuple[Path, Path], other: bytes) -> None:
    unpacked, packed = pair
    unpacked.write_bytes(other)
    with pytest.raises(DamagedFile, match=r"evt1\.fits: its content is not that of .*remove one of them"):
        settle_copies(unpacked.parent)
    assert unpacked.exists()
    assert packed.exists()


def test_a_damaged_packed_file_is_not_believed(pair: tuple[Path, Path]) -> None:
    unpacked, packed = pair
    packed.write_bytes(packed.read_bytes()[:-200])
    unpacked.write_bytes(CONTENT)
    with pytest.raises(DamagedFile, match="remove one of them"):
        settle_copies(unpacked.parent)


def test_single_files_stay(pair: tuple[Path, Path]) -> None:
    _, packed = pair
    (packed.parent / "other.fits").write_bytes(CONTENT)
    settle_copies(packed.parent)
    assert len(list(packed.parent.iterdir())) == 2
    settle_copies(packed.parent / "absent")

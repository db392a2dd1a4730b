"""Errors of the system: what may pass asks for the same command again, wherever it is met."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyxt_hpc.errors import EXIT_INPUT, EXIT_TRY_AGAIN, DamagedFile
from pyxt_hpc.files.fits import open_fits
from pyxt_hpc.files.system_errors import PASSING
from pyxt_hpc.files.text import read_text
from pyxt_hpc.files.writing import check_regular, write_text
from pyxt_hpc.jobs.record import read_jobs


def _fits(path: Path) -> None:
    with open_fits(path, "image", "make it again"):
        pass


MEETS: dict[str, tuple[object, str, Callable[[Path], object]]] = {
    "fsync": (os, "fsync", lambda path: write_text(path, "new")),
    "stat": (Path, "stat", check_regular),
    "text": (Path, "read_text", lambda path: read_text(path, "make it")),
    "jobs": (Path, "read_text", read_jobs),
    "FITS": (Path, "open", _fits),
}


@pytest.mark.parametrize("met", MEETS)
@pytest.mark.parametrize("number", [errno.ESTALE, errno.ETIMEDOUT, errno.EIO])
def test_what_may_pass_is_tried_again(
    met: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.file"
    path.write_bytes(b"old")
    where, name, do = MEETS[met]

    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(where, name, fails)
    with pytest.raises(DamagedFile, match=r"a\.file: .*" + os.strerror(number)) as caught:
        do(path)
    passing = number in PASSING
    assert caught.value.exit_code == (EXIT_TRY_AGAIN if passing else EXIT_INPUT)
    assert ("give the same command again" in str(caught.value)) == passing

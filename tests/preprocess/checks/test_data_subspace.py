"""Real and independently simulated files: what is said of them, and that nothing is said of sound ones."""

import gzip
import shutil
from pathlib import Path

import pytest

from pyxt_hpc.chandra.events import read_events
from pyxt_hpc.chandra.subspace import Component, Subspace
from pyxt_hpc.cli import main
from pyxt_hpc.errors import DamagedFile, SelectionMismatch
from pyxt_hpc.preprocess.checks.data_subspace import _other_axes, check_exposure

FILES = Path(__file__).parents[2] / "chandra" / "files"


def test_real_file_cut_in_time_without_its_header() -> None:
    events = read_events(FILES / "evt2_10027_no_rows.fits.gz")
    with pytest.raises(
        SelectionMismatch, match=r"EXPOSURE is 18279 s, but its good times are 945 s \(x DTCOR 0\.9069"
    ):
        check_exposure(events, events.gti)


def test_missing_column_of_a_real_file_is_named() -> None:
    with pytest.raises(
        DamagedFile, match=r"evt2_1522_no_rows.*no column ccd_id; give the file with all columns"
    ):
        read_events(FILES / "evt2_1522_no_rows.fits.gz")


def test_a_selection_that_nothing_is_compared_with_is_told() -> None:
    events = read_events(FILES / "evt2_10027_no_rows.fits.gz")
    subspace = Subspace((Component({"tg_lam": "1:20", "energy": "300:12000"}, {}),))
    (said,) = _other_axes(events, subspace)
    assert "it was selected in tg_lam = 1:20; nothing checks this selection" in said


def test_status_written_as_logicals() -> None:
    events = read_events(FILES / "evt_6601_status_32L.fits.gz")
    assert len(events) == 100
    assert events.status is not None
    assert not events.status.any()


def test_nothing_to_say_of_an_independent_simulation(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marx = shared / "marx"
    if not marx.is_dir():
        pytest.skip(f"the simulation is not here: {marx}")
    for obsid in ("9001", "9003"):
        primary = tmp_path / "M" / obsid / "primary"
        primary.mkdir(parents=True)
        shutil.copy(marx / f"acisf0{obsid}_evt2.fits.gz", primary)
        shutil.copy(marx / f"pcadf0{obsid}_asol1.fits.gz", primary)
    blank = gzip.decompress((marx / "9001_background.fits.gz").read_bytes())
    (tmp_path / "M/9001/9001_background.fits").write_bytes(blank)
    (tmp_path / "M/background.reg").write_text('fk5\nannulus(150.2,45.3,400",700")\n')
    (tmp_path / "M.ini").write_text(
        "[cluster_info]\nname = M\nobservation_ids = 9001, 9003\nredshift = 0.1\nhydrogen_column_density = "
        "0.03\nabundance = 0.3\nsignal_to_noise_threshold = 40\ndata_directory = .\n"
    )
    assert main(["process-data", "-c", str(tmp_path / "M.ini")]) == 0
    out, err = capsys.readouterr()
    assert "WARNING" not in err
    assert not [line for line in out.splitlines() if line.startswith("ObsID 9")]

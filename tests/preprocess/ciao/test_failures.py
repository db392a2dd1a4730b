"""What CIAO's tools say when they fail, as they say it, becomes one line that says what to do."""

import signal
from pathlib import Path

import pytest

from pyxt_hpc.errors import CiaoError, DiskFull
from pyxt_hpc.preprocess.ciao.failures import failure, last_words
from pyxt_hpc.preprocess.ciao.find import Ciao
from pyxt_hpc.preprocess.ciao.plans.call import Call
from pyxt_hpc.preprocess.ciao.session import CallResult

LOG = Path("/data/A/logs/process-data_1838.log")


def ciao(folder: Path, *, caldb: bool = True, blank_sky: bool = True) -> Ciao:
    """An installation with or without calibration files."""
    if blank_sky:
        (folder / "data/chandra/acis/bkgrnd").mkdir(parents=True)
        (folder / "data/chandra/acis/bkgrnd/acis7sD2000-12-01bkgrnd_ctiN0001.fits").touch()
    variables = {"CALDB": str(folder)} if caldb else {}
    return Ciao(Path("/soft/ciao"), Path("/soft/ciao/bin/python"), "4.17.0", "4.11.0", variables, "")


def of_tool(tool: str, said: str, code: int = 1) -> CallResult:
    """As runtool raises it."""
    error = f"An error occurred while running '{tool}':\n  " + said.replace("\n", "\n  ")
    return CallResult(error=error, kind="tool", code=code, screen=error)


FAILURES = {
    "no blank sky": (
        of_tool(
            "acis_bkgrnd_lookup",
            "# acis_bkgrnd_lookup (07 March 2018): ERROR Unable to find an ACIS background file for:\n"
            "infile=evt.fits\nCCD_ID=4\n",
        ),
        "ERROR Unable to find an ACIS background file for:",
        "CALDB has no blank-sky file for one of these chips",
    ),
    "aspect": (
        of_tool(
            "specextract",
            "Running specextract\n# specextract (2024): ERROR File not found: /d/pcad_asol1.fits",
        ),
        "# specextract (2024): ERROR File not found: /d/pcad_asol1.fits",
        "an aspect solution (pcadf*_asol1.fits) is missing",
    ),
    "calibration": (
        of_tool(
            "acis_process_events", "# acis_process_events (CIAO 4.17): ERROR: no calibration file in CALDB"
        ),
        "ERROR: no calibration file in CALDB",
        "the calibration database lacks a file",
    ),
    "what went well is no cause": (
        of_tool(
            "chandra_repro",
            "Found the aspect file\nbkgrnd files: 2\nCALDB is 4.11\n# ERROR: Permission denied: x",
        ),
        "# ERROR: Permission denied: x",
        "a file or a folder may not be written or read",
    ),
    "network": (
        CallResult(
            error="ObsID 1838 could not be downloaded",
            kind="tool",
            screen="Unable to cd to ObsId 1838: msg=Unable to reach https://cxc/cdaftp/byobsid/8/1838\n"
            "[Errno -2] Name or service not known\n"
            "Skipping ObsId 1838 as it was not found on the archive site.\n",
        ),
        "ObsID 1838 could not be downloaded",
        "this machine does not reach the archive",
    ),
    "proprietary": (
        CallResult(
            error="ObsID 1838 could not be downloaded",
            kind="tool",
            screen="Unable to cd to ObsId 1838: msg=There is no directory https://cxc/cdaftp/byobsid/8/1838\n",
        ),
        "ObsID 1838 could not be downloaded",
        "the archive has no public data of this ObsID",
    ),
    "nothing public where it is": (
        of_tool(
            "find_chandra_obsid",
            "# find_chandra_obsid (06 January 2023): ERROR object of type 'NoneType' has no len()",
        ),
        "ERROR object of type 'NoneType' has no len()",
        "the archive has no public data of this ObsID",
    ),
    "an image that lacks an observation": (
        CallResult(
            error="observations were left out",
            kind="tool",
            screen="Skipping /d/evt2.fits as it contains no data.\nSkipped one observation.\n",
        ),
        "observations were left out",
        "its log says what is wrong with the events that it skipped",
    ),
    "a server in trouble": (
        CallResult(
            error="ObsID 1838 could not be downloaded",
            kind="tool",
            screen="Unable to cd to ObsId 1838: msg=Unable to access https://cxc/cdaftp/byobsid/8/1838\ncode=503\n",
        ),
        "ObsID 1838 could not be downloaded",
        "run again later",
    ),
    "half a download": (
        CallResult(
            error="files were skipped",
            kind="tool",
            screen="SKIPPING acisf01838_evt1.fits.gz as HTTP Error 503",
        ),
        "files were skipped",
        "the archive did not give every file",
    ),
    "parameter": (
        CallResult(error="There is no parameter for blanksky that matches 'weight_method'", kind="parameter"),
        "There is no parameter for blanksky that matches 'weight_method'",
        "CIAO 4.17.0 does not know a parameter or a value",
    ),
    "module": (
        CallResult(error="No module named 'lightcurves'", kind="import"),
        "'lightcurves'",
        "conda install ciao-c",
    ),
    "no such tool": (
        CallResult(error="[Errno 2] No such file or directory: 'deflare'", kind="tool"),
        "No such file or directory: 'deflare'",
        "does not have the tool",
    ),
    "killed tool": (
        of_tool("wavdetect", "", -signal.SIGKILL),
        "it said nothing",
        "memory ran out: lower num_cpus",
    ),
    "memory": (of_tool("wavdetect", "std::bad_alloc"), "std::bad_alloc", "memory ran out"),
    "broken tool": (
        of_tool("mkarf", "", -signal.SIGSEGV),
        "it said nothing",
        "ended by a signal (Segmentation fault)",
    ),
    "killed bridge": (
        CallResult(error="its process ended", kind="died", code=-9),
        "it said nothing",
        "killed by SIGKILL",
    ),
    "time": (
        CallResult(error="time limit", kind="time", seconds=43200.0),
        "longer than 12 h",
        "raise [ciao] time_limit",
    ),
    "unknown": (
        of_tool("dmcopy", "# dmcopy: strange"),
        "# dmcopy: strange",
        "the cause is not known to pyxt-hpc",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_one_line(name: str, tmp_path: Path) -> None:
    answer, words, cause = FAILURES[name]
    call = Call("tool", {}, (), (), tmp_path, "1838")
    error = failure(call, answer, LOG, ciao(tmp_path))
    assert type(error) is CiaoError
    message = str(error)
    assert "\n" not in message
    assert message.startswith("tool of ObsID 1838 failed: ")
    assert words in message.partition("; all it said")[0]
    assert cause in message
    assert message.endswith(f"all it said: {LOG}")


@pytest.mark.parametrize(
    "said",
    [
        "# DMCOPY (CIAO 4.17): could not write: No space left on device",
        "OSError: [Errno 28] No space left on device: '/data/x'",
        "write failed: Disk quota exceeded",
    ],
)
def test_a_full_disk_is_what_it_is_elsewhere(said: str, tmp_path: Path) -> None:
    call = Call("dmcopy", {}, (), (), tmp_path, "")
    error = failure(call, of_tool("dmcopy", said), LOG, ciao(tmp_path))
    assert type(error) is DiskFull
    assert str(error).startswith(f"dmcopy failed: {said}: the disk or the quota is full")


def test_a_full_disk_that_the_tool_does_not_know_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    call = Call("dmcopy", {}, (), (), tmp_path / "not/yet/there", "1838")
    assert type(failure(call, of_tool("dmcopy", "strange"), LOG, ciao(tmp_path))) is DiskFull


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"caldb": False, "blank_sky": False}, "there is no calibration database: conda install caldb_main"),
        (
            {"caldb": True, "blank_sky": False},
            "the blank-sky files of ACIS are not installed: conda install acis_bkg",
        ),
    ],
)
def test_what_is_not_installed_is_the_cause(
    installed: dict[str, bool], expected: str, tmp_path: Path
) -> None:
    call = Call("blanksky", {}, (), (), tmp_path, "1838")
    assert expected in str(failure(call, FAILURES["no blank sky"][0], LOG, ciao(tmp_path, **installed)))


def test_long_and_odd_words_are_cut_and_harmless(tmp_path: Path) -> None:
    words = last_words(of_tool("x", "ERROR \x1b[31m" + "long " * 1000))
    assert len(words) < 400
    assert "\x1b" not in words


def test_an_unknown_failure_of_some_tools_has_a_way_on(tmp_path: Path) -> None:
    call = Call("specextract", {}, (), (), tmp_path, "1838")
    said = "# specextract (18 November 2022): ERROR generating WMAP w/sky2tdet!"
    assert "first shape of the response region" in str(
        failure(call, of_tool("specextract", said), LOG, ciao(tmp_path))
    )

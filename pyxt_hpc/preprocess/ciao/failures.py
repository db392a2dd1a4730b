"""Errors of CIAO's tools in one line: the tool's last message, the likely cause, and the path of the log."""

import re
import shutil
import signal
from pathlib import Path

from pyxt_hpc.errors import CiaoError, DiskFull, PyxtError
from pyxt_hpc.files.quoting import one_line, shown
from pyxt_hpc.preprocess.ciao.find import Ciao
from pyxt_hpc.preprocess.ciao.plans.call import Call
from pyxt_hpc.preprocess.ciao.session import CallResult

_MAX_WORDS = 300
_FULL_BYTES = 1 << 20  # no tool can work with less free space

_COMPLAINT = re.compile(r"error|fail|unable|cannot|could not|not found|no such|missing|denied", re.I)
_DISK = re.compile(r"no space left|disk quota exceeded|errno 28|errno 122|file too large|disk full", re.I)
_NO_BLANK_SKY = (
    "CALDB has no blank-sky file for one of these chips: draw background.reg, or supply a background"
)
_NO_CALIBRATION = "the calibration database lacks a file: update it (conda update caldb_main)"
_NEED_CALDB = (_NO_BLANK_SKY, _NO_CALIBRATION)
_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"unable to reach|name or service not known|temporary failure in name resolution|network is "
        r"unreachable|connection (refused|timed out|reset)|urlopen error|no route to host",
        "this machine does not reach the archive: run process-data where there is a network, or copy the "
        "folder <obsid> from a machine that has one",
    ),
    (r"unable to access http", "the archive does not answer requests: run again later"),
    (  # the tool fails with "no len" if nothing near the position is public
        r"could not be downloaded|there is no directory http|not found on the (archive|mirror) site"
        r"|no position found matching|find_chandra_obsid \(.*'nonetype' has no len",
        "the archive has no public data of this ObsID: observation_ids is wrong, or they are not yet public",
    ),
    (r"observations were left out", "its log says what is wrong with the events that it skipped"),
    (
        r"files were skipped|skipping \S+ as",
        "the archive did not give every file: run again; complete files are kept",
    ),
    (
        r"(aspect|asol|acaoff)\S*[^\n]*(not found|not exist|missing|unable|cannot|could not|no such)"
        r"|(not found|not exist|missing|unable|cannot|could not|no such)[^\n]*(aspect|asol)",
        "an aspect solution (pcadf*_asol1.fits) is missing: download the observation again",
    ),
    (r"bkgrnd|blank[- ]?sky|background (event )?file", _NO_BLANK_SKY),
    (r"caldb|calibration (file|data ?base)", _NO_CALIBRATION),
    (
        r"memoryerror|cannot allocate memory|bad_alloc|out of memory",
        "memory ran out: lower num_cpus",
    ),
    (
        r"no such file or directory: '[\w-]+'\s*$",
        "this CIAO does not have the tool, or lacks ciao-contrib: conda install ciao-contrib",
    ),
    (r"permission denied", "a file or a folder may not be written or read: change its permissions"),
)
_WAYS_ON = {
    "deflare": "it needs a quiet light curve: set flare_filter = builtin, which draws the light curves with "
    "their mean and sigma even if it fails",
    # It makes the aspect histogram only of the chip at this position, and hides failures of that.
    "specextract": "the centre of the first shape of the response region must be on a chip of the dataset: "
    "move it there",
}
_INSTALL_BLANK_SKY = "the blank-sky files of ACIS are not installed: conda install acis_bkg_evt"
_INSTALL_CALDB = "there is no calibration database: conda install caldb_main, or set CALDB before the start"


def failure(call: Call, answer: CallResult, log: Path, ciao: Ciao) -> PyxtError:
    """Error of a call that failed."""
    cause = _cause(call, answer, ciao)
    message = one_line(f"{_name(call)} failed: {last_words(answer)}: {cause}; all it said: {log}")
    return DiskFull(message) if _is_disk_full(call, answer) else CiaoError(message)


def wrong_product(call: Call, what: str, log: Path) -> CiaoError:
    """Error of a call that reported success, but did not make its products."""
    return CiaoError(
        one_line(
            f"{_name(call)} ended without an error, but {what}: look for warnings in {log}, check the free "
            "space on the disk, and run again"
        )
    )


def last_words(answer: CallResult) -> str:
    """Last message of a tool, without tracebacks and blank lines."""
    if answer.kind == "time":
        return f"it took longer than {answer.seconds / 3600:.2g} h"
    lines = _lines(answer.error if answer.kind in {"tool", "parameter", "import"} else answer.screen)
    words = (_complaints(lines) or lines or ["it said nothing"])[-1]
    return shown(words, _MAX_WORDS)


def _lines(said: str) -> list[str]:
    lines = [line.strip() for line in said.splitlines() if line.strip(" \t#-=")]
    return [line for line in lines if not line.startswith(("An error occurred while running", 'File "'))]


def _complaints(lines: list[str]) -> list[str]:
    return [line for line in lines if _COMPLAINT.search(line)]


def _name(call: Call) -> str:
    return f"{call.tool} of ObsID {call.obsid}" if call.obsid else call.tool


def _is_disk_full(call: Call, answer: CallResult) -> bool:
    return bool(_DISK.search(answer.error + answer.screen)) or (
        answer.kind in {"tool", "died"} and _free_bytes(call.folder) < _FULL_BYTES
    )


def _cause(call: Call, answer: CallResult, ciao: Ciao) -> str:
    if _is_disk_full(call, answer):
        return "the disk or the quota is full: free space, then run again; finished products are kept"
    if answer.kind == "time":
        return "raise [ciao] time_limit if the data are large; otherwise see what it waited for"
    if answer.kind == "parameter":
        return (
            f"CIAO {ciao.version} does not know a parameter or a value: update CIAO (4.14 or later) and its "
            "ciao-contrib"
        )
    if answer.kind == "import":
        return "a module of CIAO is missing: conda install ciao-contrib"
    if answer.code is not None and answer.code < 0:
        if answer.code == -signal.SIGKILL:
            return "killed by SIGKILL, most likely because memory ran out: lower num_cpus"
        name = signal.strsignal(-answer.code) or f"signal {-answer.code}"
        return f"ended by a signal ({name}): run again; if this repeats, it is a defect of the tool"
    everything = f"{answer.screen}\n{answer.error}"
    # Lines with complaints first, because the others also report successes.
    for said in ("\n".join(_complaints(_lines(everything))), everything):
        for pattern, cause in _CAUSES:
            if re.search(pattern, said, re.IGNORECASE | re.MULTILINE):
                return _of_caldb(cause, ciao)
    if ciao.caldb is None:
        return f"perhaps because {_INSTALL_CALDB}"
    return _WAYS_ON.get(
        call.tool,
        "the cause is not known to pyxt-hpc; the line can be run by hand from the script beside the log",
    )


def _of_caldb(cause: str, ciao: Ciao) -> str:
    """The cause, or that the database is not installed if the cause is a missing calibration file."""
    if cause in _NEED_CALDB and ciao.caldb is None:
        return _INSTALL_CALDB
    if cause == _NO_BLANK_SKY and not ciao.has_blank_sky:
        return _INSTALL_BLANK_SKY
    return cause


def _free_bytes(folder: Path) -> int:
    for place in (folder, *folder.parents):
        if place.is_dir():
            return shutil.disk_usage(place).free
    return 0

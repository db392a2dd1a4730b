"""A double of CIAO's module of this name, for tests only: the archive is a folder of simulated files."""

import os
import shutil
import urllib.parse

from ciao_double import faults, state

from ciao_contrib.logger_wrapper import tell


def download_chandra_obsids(obsids, filetypes=None, excludes=None, mirror=None):
    """Copy ``<obsid>/`` into the working directory; files of the right size are left, others done again.

    Returns a bool per ObsID: whether the archive has it.
    """
    if mirror is not None and urllib.parse.urlparse(mirror).scheme not in ("https", "http"):
        raise ValueError(f"Require https/http URL, but sent {mirror}")
    return [_download(int(obsid), filetypes, excludes) for obsid in obsids]


def _download(obsid, filetypes, excludes):
    fault = faults.begin("download_chandra_obsid", {"obsid": str(obsid), "filetypes": filetypes})
    if fault == "fail":
        raise OSError("<urlopen error [Errno -3] Temporary failure in name resolution>")
    if fault == "nothing":
        return True
    faults.before(fault, os.getpid())
    source = state.archive() / str(obsid)
    if fault == "unknown" or not source.is_dir():
        tell(f"Skipping ObsId {obsid} as it was not found on the archive site.")
        return False
    written = []
    tell(f"Downloading files for ObsId {obsid}.")
    with faults.full_disk(fault):
        for path in sorted(source.rglob("*")):
            if not path.is_file() or not _wanted(path.name, filetypes, excludes):
                continue
            target = state.working_directory() / str(obsid) / path.relative_to(source)
            if target.is_file() and target.stat().st_size == path.stat().st_size:
                tell(f"  {path.name} already downloaded")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            written.append(target)
    faults.after(fault, written)
    return True


def _wanted(name, filetypes, excludes):
    kind = name.removesuffix(".gz").removesuffix(".fits").rstrip("0123456789").rpartition("_")[2]
    if filetypes is not None and kind not in {t.rstrip("0123456789") for t in filetypes}:
        return False
    return excludes is None or kind not in {t.rstrip("0123456789") for t in excludes}

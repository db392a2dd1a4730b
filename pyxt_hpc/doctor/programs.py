"""Checks of other programs: MPI, CIAO, DS9, batch systems."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence

from pyxt_hpc.doctor.finding import Finding, Verdict
from pyxt_hpc.errors import PyxtError
from pyxt_hpc.files.quoting import shown
from pyxt_hpc.jobs.systems import SYSTEMS
from pyxt_hpc.parallel.launch import find_mpiexec

_TIMEOUT_S = 60.0
_OF_RANKS = re.compile("PMIX?_|OMPI_COMM_")
_ASK_VERSION = (
    "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; "
    "print(mpi4py.__version__, MPI.Get_library_version().split(chr(10))[0], sep=chr(10))"
)
# One call writes the whole line, since pieces of lines from several ranks can get mixed up.
_ASK_SIZE = "import os; from mpi4py import MPI; os.write(1, b'ranks %d\\n' % MPI.COMM_WORLD.Get_size())"
_WITHOUT_MPI = (
    "create-bins and fit-spectra use the processes of one machine (--num-cpus), and job arrays on others"
)


def mpi() -> Finding:
    """Check MPI, and whether two ranks started by its launcher see each other."""
    try:
        version, library, *_ = _said([sys.executable, "-P", "-c", _ASK_VERSION])
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Finding(
            Verdict.MISSING, _no_mpi(error), f"{_WITHOUT_MPI}; pip install 'pyxt_hpc[mpi]' brings it"
        )
    found = f"mpi4py {version} on {' '.join(library.split())}"
    launcher = find_mpiexec()
    if launcher is None:
        return Finding(
            Verdict.WARNING, f"{found}; no mpiexec", "start ranks with the launcher of the centre (srun)"
        )
    try:
        sizes = Counter(_said([launcher, "-n", "2", sys.executable, "-P", "-c", _ASK_SIZE]))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        why = _no_mpi(error)
        return Finding(
            Verdict.WARNING,
            f"{found}; {launcher} -n 2 fails here ({why})",
            "login nodes may forbid it: try it in a job; without it --num-cpus and job arrays work",
        )
    if sizes != {"ranks 2": 2}:
        return Finding(
            Verdict.WARNING,
            f"{found}; ranks of {launcher} do not see each other",
            "the launcher is of another MPI than mpi4py: install mpi4py with the launcher's MPI, or take the "
            "other one's mpiexec",
        )
    return Finding(Verdict.OK, f"{found}; 2 ranks of {launcher} see each other")


def _no_mpi(error: Exception) -> str:
    stderr = getattr(error, "stderr", "") or ""
    lines = [line for line in str(stderr).strip().splitlines() if line.strip()]
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no answer for {_TIMEOUT_S:.0f} s"
    return shown(lines[-1] if lines else error, 200)


def _said(command: Sequence[str]) -> list[str]:
    """Lines that a program prints when it is run without the variables that MPI sets for ranks."""
    environment = {name: value for name, value in os.environ.items() if not _OF_RANKS.match(name)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True, env=environment,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout.strip().splitlines()


def ciao(prefix: str) -> Finding:
    """Check CIAO, its calibration database and the blank-sky files of ACIS."""
    from pyxt_hpc.preprocess.ciao.find import INSTALL, find_ciao

    without = (
        "without it nothing is downloaded or reprocessed: stages 1 and 3 need level-2 events, blank-sky "
        "events, ARF and RMF made elsewhere (`pyxt-hpc help ciao`)"
    )
    try:
        there = find_ciao(prefix)
    except PyxtError as error:
        found = str(error).partition(". It is installed by")[0]
        return Finding(Verdict.MISSING, found, f"{without}; it is installed by: {INSTALL}")
    if there.caldb is None:
        return Finding(Verdict.WARNING, str(there), "install caldb_main: without it no responses are made")
    if not there.has_blank_sky:
        return Finding(
            Verdict.WARNING,
            f"{there}, without blank-sky files",
            "install acis_bkg_evt, or set [ciao] blank_sky = region and draw background.reg",
        )
    return Finding(Verdict.OK, f"{there}, with blank-sky files; found by {there.found_by}")


def ds9() -> Finding:
    """Check DS9, in which regions are drawn."""
    found = shutil.which("ds9")
    if found is None:
        return Finding(
            Verdict.MISSING,
            "no ds9 on PATH",
            "regions cannot be drawn here: propose-regions proposes them, and its picture shows them",
        )
    return Finding(Verdict.OK, found)


def batch_system() -> Finding:
    """Check for the submit commands of SLURM and PBS."""
    found = []
    for system in SYSTEMS.values():
        program = system.submit_command[0]
        if path := shutil.which(program):
            found.append(f"{system.name} ({path})")
    if not found:
        programs = " nor ".join(system.submit_command[0] for system in SYSTEMS.values())
        return Finding(
            Verdict.MISSING,
            f"neither {programs} on PATH",
            "make-job writes scripts for another machine only; mpirun and --num-cpus work without them",
        )
    return Finding(Verdict.OK, ", ".join(found))

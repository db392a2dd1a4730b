"""Checks of Python and its libraries."""

import importlib
import importlib.metadata
import platform
import re
import subprocess
import sys

from pyxt_hpc.doctor.finding import Finding, Verdict
from pyxt_hpc.files.quoting import one_line, shown
from pyxt_hpc.version import __version__

DISTRIBUTION = "pyxt_hpc"
_TIMEOUT_S = 120.0

_PLAIN_SHERPA = "compare-engines and --engine sherpa take this package's own models in place of XSPEC's"
_ASK_SHERPA = "from pyxt_hpc.reference.sherpa_models import which_model; print(which_model())"


def python() -> Finding:
    """Version and path of the interpreter, and version of this package."""
    found = f"pyxt_hpc {__version__} in Python {platform.python_version()} ({sys.executable})"
    return Finding(Verdict.OK, found)


def required() -> Finding:
    """Check whether all required libraries can be imported."""
    versions, broken = [], []
    modules = _modules()
    for name in _requirements():
        try:
            importlib.import_module(modules.get(_normal(name), name))
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except Exception as error:
            broken.append(f"{name} ({shown(one_line(str(error)), 150)})")
    if broken:
        remedy = "install pyxt_hpc again, with what it needs, in an environment of its own"
        return Finding(Verdict.BROKEN, f"cannot be imported: {', '.join(broken)}", remedy)
    return Finding(Verdict.OK, ", ".join(versions))


def _requirements() -> list[str]:
    """Names of the required distributions in the package's metadata, without optional ones."""
    wanted = importlib.metadata.requires(DISTRIBUTION) or []
    matches = (re.match(r"[A-Za-z0-9_.-]+", one) for one in wanted if "extra ==" not in one)
    return [match[0] for match in matches if match]


def _modules() -> dict[str, str]:
    """Name of the module to import, by the name of the distribution; pillow, for example, has PIL."""
    modules: dict[str, str] = {}
    for module, distributions in importlib.metadata.packages_distributions().items():
        for name in map(_normal, distributions):
            if not module.startswith("_") and (name not in modules or _normal(module) == name):
                modules[name] = module
    return modules


def _normal(name: str) -> str:
    """Name of a distribution in the normal form of the package index."""
    return re.sub(r"[-_.]+", "-", name).lower()


def hdf5() -> Finding:
    """Version of the HDF5 library that h5py uses."""
    import h5py

    return Finding(Verdict.OK, f"{h5py.version.hdf5_version}, by h5py {h5py.version.version}")


def sherpa() -> Finding:
    """Check Sherpa and its XSPEC models, in another process, since XSPEC can end the process."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", _ASK_SHERPA],
        capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    said = done.stdout.strip().splitlines()
    if done.returncode or not said:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        remedy = "without it no compare-engines and no --engine sherpa"
        return Finding(Verdict.MISSING, shown(reason.partition(": ")[2] or reason, 300), remedy)
    version = importlib.metadata.version("sherpa")
    if said[-1].startswith("XSPEC"):
        return Finding(Verdict.OK, f"{version} with {said[-1].partition(chr(39))[0]}")
    return Finding(Verdict.OK, f"{version} without XSPEC: {said[-1]}", _PLAIN_SHERPA)

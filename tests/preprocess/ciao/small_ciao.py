"""The least that the bridge takes for CIAO: a prefix with an interpreter and programs of a test's own."""

import os
import sys
from pathlib import Path

_RUNTOOL = """
import os, subprocess

class Tool(object):
    def __init__(self, name):
        self._name, self._settings, self._parnames, self._runtimes = name, {}, (), {}
    def punlearn(self):
        self._settings = {}
    def get_runtime_details(self):
        return self._runtimes
    def __call__(self, **parameters):
        if "nonsense" in parameters:
            raise TypeError("There is no parameter for %s that matches 'nonsense'" % self._name)
        self._settings.update(parameters)
        for name, value in self._settings.items():
            setattr(self, name, value)
        self._parnames = tuple(self._settings)
        joined = {n: ",".join(v) if isinstance(v, list) else v for n, v in parameters.items()}
        words = ["%s=%s" % pair for pair in joined.items()]
        tool = subprocess.Popen([self._name] + words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = tool.communicate()[0].decode()
        self._runtimes = {"code": tool.returncode}
        if tool.returncode:
            raise IOError("An error occurred while running '%s':\\n  %s" % (self._name, said.strip()))
        return said.rstrip() or None

def make_tool(name):
    return Tool(name)
"""
_DOWNLOAD = """
import os

def download_chandra_obsids(obsids, filetypes=None, mirror=None):
    found = []
    for obsid in obsids:
        print("asked for", obsid, filetypes, mirror)
        if os.environ.get("NO_NETWORK"):
            print("Unable to reach https://cxc.cfa.harvard.edu/cdaftp: [Errno -2] Name or service not known")
        elif obsid != 404:
            os.makedirs(str(obsid), exist_ok=True)
            with open(os.path.join(str(obsid), "oif.fits"), "wb") as file:
                file.write(b"SIMPLE")
        found.append(obsid != 404 and not os.environ.get("NO_NETWORK"))
    return found
"""
_LOGGER = """
def initialize_logger(name, verbose=0):
    print("verbosity", verbose)
"""
_ACTIVATION = """
echo "CIAO is being activated"
export ASCDS_INSTALL="$CONDA_PREFIX" ASCDS_BIN="$CONDA_PREFIX/bin" ASCDS_CALIB="$CONDA_PREFIX/data"
export PFILES="$HOME/cxcds_param4;$CONDA_PREFIX/param" PYTHONPATH="$CONDA_PREFIX/lib" ASCDS_WORK_PATH=/tmp
"""


def small_ciao(prefix: Path, python: str = sys.executable, version: str = "4.17.0") -> Path:
    """A conda environment with CIAO, whose interpreter has no package but ``ciao_contrib``."""
    for name in ("bin", "param", "lib/ciao_contrib/cda", "conda-meta", "etc/conda/activate.d"):
        (prefix / name).mkdir(parents=True)
    for package in ("ciao_contrib", "ciao_contrib/cda"):
        (prefix / "lib" / package / "__init__.py").touch()
    (prefix / "lib/ciao_contrib/runtool.py").write_text(_RUNTOOL)
    (prefix / "lib/ciao_contrib/cda/data.py").write_text(_DOWNLOAD)
    (prefix / "lib/ciao_contrib/logger_wrapper.py").write_text(_LOGGER)
    (prefix / "etc/conda/activate.d/ciao_activate.sh").write_text(_ACTIVATION)
    (prefix / f"conda-meta/ciao-{version}-py311_0.json").write_text("{}")
    program(prefix, "dmlist", "#!/bin/sh\n")
    program(prefix, "python3", f'#!/bin/sh\nexec {python} -S "$@"\n')
    return prefix


def program(prefix: Path, name: str, text: str) -> None:
    """A tool of this CIAO: a program that gets its parameters as words ``name=value``."""
    path = prefix / "bin" / name
    path.write_text(text)
    path.chmod(0o755)


def tool(prefix: Path, name: str, script: str) -> None:
    """A tool whose parameters are variables of a shell script."""
    program(prefix, name, f'#!/bin/bash\nfor word in "$@"; do declare "$word"; done\n{script}\n')


def outside(**variables: str) -> dict[str, str]:
    """Environment of a user in which no CIAO is activated."""
    return {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/"), **variables}

"""An installation that looks like CIAO's in a conda environment, with the double of CIAO in it."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyxt_hpc

_DOUBLE = Path(__file__).with_name("double")
_VERSION = "4.17.0"
_TABLE = json.loads((_DOUBLE / "ciao_double" / "parameters.json").read_text())
# what CIAO's own scripts set, and that they are not silent
_ACTIVATION = """\
export ASCDS_INSTALL="$CONDA_PREFIX"
export ASCDS_BIN="$ASCDS_INSTALL/bin" ASCDS_CALIB="$ASCDS_INSTALL/data" ASCDS_CONTRIB="$ASCDS_INSTALL/contrib"
export ASCDS_WORK_PATH=/tmp ASCDS_TMP=/tmp ASCDS_CIAO=ciao
export CALDB="$ASCDS_INSTALL/CALDB"
export CALDBCONFIG="$CALDB/software/tools/caldb.config" CALDBALIAS="$CALDB/software/tools/alias_config.fits"
export PFILES="$HOME/cxcds_param4;$ASCDS_CONTRIB/param:$ASCDS_INSTALL/param"
echo "CIAO of the double is activated"
"""


@dataclass(frozen=True)
class Installation:
    """The double installed below ``prefix``; its log of calls and the faults ordered of it."""

    prefix: Path

    @property
    def _state(self) -> Path:
        return self.prefix / "double"

    @property
    def blank_skies(self) -> Path:
        """Where its calibration database has blank-sky files."""
        return self.prefix / "CALDB" / "data" / "chandra" / "acis" / "bkgrnd"

    def order(self, *faults: dict[str, str]) -> None:
        """Let tools go wrong: each ``tool``, ``kind`` and perhaps ``match``, found in its parameters."""
        (self._state / "faults.json").write_text(json.dumps(faults))

    def log(self) -> list[dict]:
        """All that was written into the log, in order."""
        path = self._state / "calls.jsonl"
        entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        assert not (self._state / "defect.txt").exists(), (self._state / "defect.txt").read_text()
        return entries

    def calls(self) -> list[str]:
        """Tools in the order in which they were called."""
        return [entry["tool"] for entry in self.log() if "tool" in entry]

    def use_archive(self, folder: Path) -> None:
        """Take observations from another simulated archive."""
        path = self._state / "settings.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "archive": str(folder)}))

    def forget(self) -> None:
        """Empty the log."""
        (self._state / "calls.jsonl").unlink(missing_ok=True)


def install(prefix: Path, archive: Path, **settings: float) -> Installation:
    """Lay out an installation whose archive is a folder ``archive`` of simulated observations."""
    for folder in ("bin", "contrib/param", "contrib/bin", "param", "data", "double", "conda-meta"):
        (prefix / folder).mkdir(parents=True)
    caldb = prefix / "CALDB"
    (caldb / "software" / "tools").mkdir(parents=True)
    for name in ("caldb.config", "alias_config.fits"):
        (caldb / "software" / "tools" / name).write_text("of the double\n")
    installation = Installation(prefix)
    installation.blank_skies.mkdir(parents=True)
    (prefix / "VERSION").write_text(f"CIAO {_VERSION} Thursday, December  5, 2024\n")
    (prefix / "conda-meta" / "history").write_text("")
    (prefix / "conda-meta" / f"ciao-{_VERSION}-py311_0.json").write_text(
        json.dumps({"name": "ciao", "version": _VERSION})
    )
    activation = prefix / "etc" / "conda" / "activate.d"
    activation.mkdir(parents=True)
    (activation / "ciao_activate.sh").write_text(_ACTIVATION)
    for tool in _TABLE:
        par = prefix / ("param" if tool.startswith("dm") else "contrib/param") / f"{tool}.par"
        par.write_text(f"# parameters of {tool} in the double\n")
        _program(
            prefix / "bin" / tool, "echo 'the double of CIAO runs by ciao_contrib.runtool only' >&2; exit 1"
        )
    (prefix / "param" / "dmcopy.par").write_text("# parameters of dmcopy in the double\n")
    # as a virtual environment, so that the double is found whatever options and variables Python starts with
    base = Path(sys._base_executable)  # type: ignore[attr-defined]
    (prefix / "bin" / "python").symlink_to(base)
    (prefix / "bin" / "python3").symlink_to(base)
    (prefix / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = prefix / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    lines = [_DOUBLE, Path(pyxt_hpc.__file__).parents[1], *map(Path, _site_packages())]
    (packages / "double.pth").write_text("".join(f"{line}\n" for line in lines))
    (prefix / "double" / "settings.json").write_text(json.dumps({"archive": str(archive), **settings}))
    return installation


def _site_packages() -> set[str]:
    return {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}


def _program(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n")
    os.chmod(path, 0o755)


_CALLER = """
import json, os, sys
from ciao_contrib import runtool
for tool, parameters in json.load(sys.stdin):
    try:
        made = runtool.make_tool(tool)
        made.punlearn()
        answer = made(**parameters)
    except Exception as error:
        answer = [type(error).__name__, str(error)]
    print(json.dumps(answer))
"""


def call_tools(prefix: Path, folder: Path, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[Any]:
    """Call tools of an installation in a process as a careful user starts it, with ``folder`` as its own."""
    for name in ("param", "work"):
        (folder / name).mkdir(exist_ok=True)
    activated = f"export CONDA_PREFIX={prefix}; . {prefix}/etc/conda/activate.d/ciao_activate.sh >/dev/null; "
    private = f'PFILES="{folder}/param;${{PFILES#*;}}" ASCDS_WORK_PATH={folder}/work '
    done = subprocess.run(
        ["sh", "-c", f'{activated}{private} exec {prefix}/bin/python -c "$0"', _CALLER],
        input=json.dumps(calls), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]

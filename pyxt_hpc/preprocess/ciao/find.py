"""The installation of CIAO, and the environment variables that its activation sets.

An installation is the prefix of a conda environment, or the folder of ``ciao-install``. Its own activation
scripts run in a clean shell, so that a calibration database or parameter folders that were configured there
are used.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from astropy.io import fits

from pyxt_hpc.errors import CiaoError, ConfigError, MissingInput
from pyxt_hpc.files.quoting import shown

INSTALL = (
    "conda create -n ciao -c https://cxc.cfa.harvard.edu/conda/ciao -c conda-forge "
    "ciao sherpa ds9 ciao-contrib caldb_main acis_bkg_evt marx"
)
"""Command that installs CIAO with its calibration database and the blank-sky files of ACIS."""

OLDEST = (4, 14)

_SHELL_TIMEOUT_S = 120.0
# Variables that an activation sets, and those by which this process would change other Python environments.
_OF_ACTIVATION = re.compile(r"(ASCDS_|CALDB|CIAO_|PFILES$|LOCPFILES$|CONDA_|PYTHON|VIRTUAL_ENV|LD_|_CE_)")
_ACTIVATE_CONDA = """\
export CONDA_PREFIX="$1" CONDA_DEFAULT_ENV="${1##*/}" PATH="$1/bin:$PATH"
for script in "$1"/etc/conda/activate.d/*.sh; do
  if [ -r "$script" ]; then . "$script"; fi
done
"""
_ACTIVATE_CLASSIC = '. "$1/bin/ciao.sh"\n'


@dataclass(frozen=True)
class Ciao:
    """An installation of CIAO.

    Attributes
    ----------
    prefix
        Its folder.
    python
        Its own Python interpreter.
    version
        Version such as ``4.17.0``, or ``unknown``.
    caldb_version
        Version of the calibration database; empty if there is none.
    environment
        Environment variables after its activation, without the private folders of `environment_of`.
    found_by
        The place where it was found, such as ``this Python``.
    """

    prefix: Path
    python: Path
    version: str
    caldb_version: str
    environment: Mapping[str, str]
    found_by: str

    @property
    def caldb(self) -> Path | None:
        """Folder of the calibration database."""
        return Path(self.environment["CALDB"]) if "CALDB" in self.environment else None

    @property
    def has_blank_sky(self) -> bool:
        """Whether the blank-sky files of ACIS, which are a package of their own, are installed."""
        return self.caldb is not None and any((self.caldb / "data/chandra/acis/bkgrnd").glob("*.fits*"))

    def __str__(self) -> str:
        caldb = f"CALDB {self.caldb_version}" if self.caldb_version else "without CALDB"
        return f"CIAO {self.version}, {caldb}, in {self.prefix}"

    def environment_of(self, private: Path) -> dict[str, str]:
        """Environment of a process with its own parameter and work folders in a private folder.

        Tools keep their last parameters in the first part of ``PFILES``. Two processes that share it
        overwrite each other's parameters, in particular those of ``ardlib``.
        """
        private_pfiles, work = private / "param", private / "work"
        for folder in (private_pfiles, work):
            folder.mkdir(exist_ok=True)
        return {
            **self.environment,
            "PFILES": f"{private_pfiles};{self.environment['PFILES'].partition(';')[2]}",
            "ASCDS_WORK_PATH": str(work),
            "ASCDS_TMP": str(work),
            "MPLBACKEND": "Agg",  # deflare would open windows
            "XPA_METHOD": "local",
            "PYTHONNOUSERSITE": "1",  # packages in a home folder would hide those that CIAO was built with
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8:backslashreplace",
        }


def find_ciao(prefix: str = "", environment: Mapping[str, str] | None = None) -> Ciao:
    """Find CIAO: at `prefix`, else the activated one, in this Python, or in conda's environments ``ciao*``.

    Raises ConfigError if `prefix` is given but is not a usable CIAO; MissingInput, with all places searched
    and the command that installs CIAO, if there is none; CiaoError if its activation scripts fail.
    """
    environment = os.environ if environment is None else environment
    if prefix:
        folder = Path(prefix).expanduser().absolute()
        if wrong := _unusable(folder):
            raise ConfigError(
                f"[ciao] prefix = {shown(prefix)}: {wrong}; give the folder of a conda environment or of "
                "ciao-install"
            )
        return _installation(folder, "[ciao] prefix", environment)
    looked = ["[ciao] prefix: not set"]
    for place, folder_there in _places(environment):
        if folder_there is None:
            looked.append(place)
        elif wrong := _unusable(folder_there):
            looked.append(f"{place} ({folder_there}): {wrong}")
        else:
            return _installation(folder_there, place, environment)
    raise MissingInput(f"CIAO is not found: looked at {'; '.join(looked)}. Install it by: {INSTALL}")


def _places(environment: Mapping[str, str]) -> Iterator[tuple[str, Path | None]]:
    """Each place with its folder, or with the reason why it has none."""
    activated = False
    for name in ("ASCDS_INSTALL", "CONDA_PREFIX"):
        if environment.get(name):
            activated = True
            yield f"the activated environment {name}", Path(environment[name])
    if not activated:
        yield "the activated environment: neither ASCDS_INSTALL nor CONDA_PREFIX is set", None
    if _in_this_python():
        yield "this Python", Path(sys.prefix)
    else:
        yield f"this Python: {sys.executable} has no ciao_contrib.runtool", None
    yield from _conda_environments(environment)


def _in_this_python() -> bool:
    try:
        return importlib.util.find_spec("ciao_contrib.runtool") is not None
    except ImportError:
        return False


def _conda_environments(environment: Mapping[str, str]) -> Iterator[tuple[str, Path | None]]:
    path = environment.get("PATH", os.defpath)
    programs = [environment.get("CONDA_EXE", ""), *(shutil.which(name, path=path) for name in _CONDAS)]
    program = next((one for one in programs if one and os.access(one, os.X_OK)), None)
    if program is None:
        yield f"conda: no {', '.join(_CONDAS)} in PATH", None
        return
    command = [program, "env", "list", "--json"]
    try:
        told = subprocess.run(
            command, capture_output=True, timeout=_SHELL_TIMEOUT_S, stdin=subprocess.DEVNULL, check=True
        ).stdout
        folders = [Path(one) for one in json.loads(told)["envs"]]
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError) as error:
        yield f"conda: `{' '.join(command)}` fails ({shown(error)})", None
        return
    named = [folder for folder in folders if folder.name.startswith("ciao")]
    if not named:
        yield f"conda: none of {len(folders)} environments is called ciao*", None
    for folder in sorted(named, key=_version_numbers, reverse=True):
        yield "conda's environment", folder


_CONDAS = ("conda", "mamba", "micromamba")


def _unusable(prefix: Path) -> str:
    """Why a folder is not a usable CIAO; empty if it is one."""
    if not os.access(prefix / "bin/dmlist", os.X_OK):
        return "it has no bin/dmlist"
    numbers = _version_numbers(prefix)
    if numbers and numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return f"it is CIAO {_version(prefix)}, expected {oldest} or later"
    if re.search(r"[\s;:,]", str(prefix)):
        return "its path has a blank or one of ; : , which CIAO's parameter files cannot have"
    return ""


def _version(prefix: Path) -> str:
    """Version from the records of conda or ciao-install."""
    try:
        if match := re.search(r"\d+\.\d+(\.\d+)?", (prefix / "VERSION").read_text(encoding="utf-8")):
            return match[0]
    except (OSError, ValueError):
        pass
    return _conda_version(prefix, "ciao")


def _conda_version(prefix: Path, package: str) -> str:
    """Version of a package that conda installed in a prefix; empty if there is none."""
    for record in sorted((prefix / "conda-meta").glob(f"{package}-[0-9]*.json")):
        return record.name.removeprefix(f"{package}-").partition("-")[0]
    return ""


def _version_numbers(prefix: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", _version(prefix))[:2]))


def _caldb_version(prefix: Path, caldb: Path) -> str:
    """Version of a calibration database."""
    try:
        with fits.open(caldb / "docs/chandra/caldb_version/caldb_version.fits") as hdus:
            return str(hdus[1].data["CALDB_VER"][-1]).strip()
    except (OSError, KeyError, IndexError, TypeError):
        return _conda_version(prefix, "caldb_main") or "unknown"


def _installation(prefix: Path, found_by: str, environment: Mapping[str, str]) -> Ciao:
    found = _activated(prefix, environment)
    caldb = found.get("CALDB", "")
    return Ciao(
        prefix=prefix,
        python=_python(prefix, found["PATH"]),
        version=_version(prefix) or "unknown",
        caldb_version=_caldb_version(prefix, Path(caldb)) if caldb else "",
        environment=found,
        found_by=found_by,
    )


def _python(prefix: Path, path: str) -> Path:
    for folder in path.split(os.pathsep):
        for name in ("python3", "python"):
            if Path(folder).is_relative_to(prefix) and os.access(Path(folder) / name, os.X_OK):
                return Path(folder) / name
    raise CiaoError(
        f"{prefix}: this CIAO has no Python of its own: install ciao-contrib there, e.g. by: {INSTALL}"
    )


def _activated(prefix: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Environment in which this CIAO is activated, without traces of other Python environments."""
    if environment.get("ASCDS_INSTALL") and Path(environment["ASCDS_INSTALL"]) == prefix:
        found = dict(environment)  # includes changes that the user made after the activation
    else:
        found = _activate(prefix, environment)
    for name, value in _usual(prefix).items():
        found.setdefault(name, value)
    # Its own programs come first, because its scripts take the first `python` of PATH.
    found["PATH"] = os.pathsep.join(_own_first(found["PATH"].split(os.pathsep), prefix, _BINARIES))
    system = [entry for entry in found.get("PFILES", "").partition(";")[2].split(":") if entry]
    found["PFILES"] = f";{':'.join(_own_first(system, prefix, _PARAMETERS))}"
    for name in ("LD_LIBRARY_PATH", "PYTHONPATH"):
        entries = [entry for entry in found.pop(name, "").split(os.pathsep) if _is_below(entry, prefix)]
        if entries:
            found[name] = os.pathsep.join(entries)
    for name in ("PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "LD_PRELOAD", "LOCPFILES"):
        found.pop(name, None)
    theirs = Path(environment.get("CALDB", ""))
    # HEASoft sets a CALDB, too, which may lack Chandra's files.
    if "CALDB" not in found and (theirs / "data/chandra/acis").is_dir():
        found |= _caldb(theirs)
    return found


_BINARIES = ("bin", "ots/bin", "contrib/bin")
_PARAMETERS = ("contrib/param", "param")


def _usual(prefix: Path) -> dict[str, str]:
    """Variables that every activation sets."""
    contrib = prefix / "contrib"
    found = {
        "ASCDS_INSTALL": str(prefix),
        "ASCDS_BIN": str(prefix / "bin"),
        "ASCDS_LIB": str(prefix / "lib"),
        "ASCDS_CALIB": str(prefix / "data"),
        "ASCDS_CONTRIB": str(contrib if contrib.is_dir() else prefix),
        "PATH": os.defpath,
    }
    caldb = prefix / "CALDB"
    return found | (_caldb(caldb) if caldb.is_dir() else {})


def _caldb(folder: Path) -> dict[str, str]:
    return {
        "CALDB": str(folder),
        "CALDBCONFIG": str(folder / "software/tools/caldb.config"),
        "CALDBALIAS": str(folder / "software/tools/alias_config.fits"),
    }


def _own_first(entries: list[str], prefix: Path, folders: tuple[str, ...]) -> list[str]:
    """Entries of a path with all folders of an installation before the others."""
    own = [entry for entry in entries if _is_below(entry, prefix)]
    own += [str(prefix / name) for name in folders if (prefix / name).is_dir()]
    return list(dict.fromkeys([*own, *filter(None, entries)]))


def _is_below(entry: str, prefix: Path) -> bool:
    return bool(entry) and Path(entry).is_relative_to(prefix)


def _activate(prefix: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Run the activation scripts of an installation; return the variables that are set afterwards."""
    clean = {name: value for name, value in environment.items() if not _OF_ACTIVATION.match(name)}
    is_classic = (prefix / "bin/ciao.sh").is_file()
    script = f'{_ACTIVATE_CLASSIC if is_classic else _ACTIVATE_CONDA}env -0 > "$2"\n'
    with tempfile.TemporaryDirectory(prefix="pyxt-ciao-") as folder:
        # Files instead of pipes: a daemon that a script starts would keep a pipe open.
        told, said = Path(folder) / "variables", Path(folder) / "screen"
        command = ["bash", "--noprofile", "--norc", "-c", script, "activate", str(prefix), str(told)]
        try:
            with said.open("wb") as screen:
                status = subprocess.run(
                    command,
                    env=clean,
                    stdin=subprocess.DEVNULL,
                    stdout=screen,
                    stderr=subprocess.STDOUT,
                    timeout=_SHELL_TIMEOUT_S,
                ).returncode
        except (OSError, subprocess.SubprocessError) as error:
            raise CiaoError(f"{prefix}: CIAO cannot be activated ({shown(error)})") from None
        variables = told.read_bytes() if told.exists() else b""
        words = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if not variables:
        raise CiaoError(
            f"{prefix}: CIAO cannot be activated: its scripts end with exit code {status}"
            f"{f' ({shown(words[-1], 200)})' if words else ''}"
        )
    entries = (entry.partition("=") for entry in os.fsdecode(variables).split("\0"))
    return {name: value for name, equals, value in entries if equals}

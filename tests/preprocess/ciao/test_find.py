"""CIAO is found in the places and the order that are told, with the variables that its activation sets."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from small_ciao import outside, program, small_ciao

from pyxt_hpc.errors import CiaoError, ConfigError, MissingInput
from pyxt_hpc.preprocess.ciao.find import find_ciao


def conda(folder: Path, *environments: Path) -> dict[str, str]:
    """Variables of a user whose conda has these environments."""
    (folder / "bin").mkdir(parents=True)
    listed = json.dumps({"envs": [str(one) for one in environments]})
    program(folder, "conda", f"#!/bin/sh\n[ \"$*\" = 'env list --json' ] && echo '{listed}'\n")
    return outside(CONDA_EXE=str(folder / "bin/conda"))


def classic(prefix: Path) -> Path:
    """An installation of ciao-install, with its calibration database elsewhere."""
    small_ciao(prefix)
    shutil.rmtree(prefix / "etc")
    shutil.rmtree(prefix / "conda-meta")
    for name in ("contrib/param", "contrib/bin", "ots/bin"):
        (prefix / name).mkdir(parents=True)
    (prefix / "bin/python3").rename(prefix / "ots/bin/python3")
    (prefix / "VERSION").write_text("CIAO 4.16.0 Friday, December 8, 2023\n")
    caldb = prefix.parent / "CALDB"
    (caldb / "docs/chandra/caldb_version").mkdir(parents=True)
    column = fits.Column("CALDB_VER", "8A", array=np.array(["4.10.7", "4.11.0"]))
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column])]).writeto(
        caldb / "docs/chandra/caldb_version/caldb_version.fits"
    )
    (prefix / "bin/ciao.sh").write_text(
        f"""
        if [ -n "$ASCDS_INSTALL" ]; then echo "ERROR: another CIAO is set up"; return 1; fi
        echo "CIAO configuration is complete..."
        export ASCDS_INSTALL={prefix} ASCDS_CONTRIB={prefix}/contrib CALDB={caldb} ASCDS_OWN=1
        export PFILES="$HOME/cxcds_param4;$ASCDS_CONTRIB/param:$ASCDS_INSTALL/param"
        export PATH="$ASCDS_INSTALL/bin:$ASCDS_INSTALL/ots/bin:$PATH"
        export LD_LIBRARY_PATH="$ASCDS_INSTALL/lib:$LD_LIBRARY_PATH"
        """
    )
    return prefix


def test_places_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, activated, of_conda, ours, listed, base = (
        small_ciao(tmp_path / name / "ciao")
        for name in ("given", "activated", "conda", "ours", "listed", "base")
    )
    variables = conda(tmp_path / "miniforge", base.parent, listed)
    variables |= {"ASCDS_INSTALL": str(activated), "CONDA_PREFIX": str(of_conda)}
    monkeypatch.setattr(sys, "prefix", str(ours))
    monkeypatch.setattr("pyxt_hpc.preprocess.ciao.find._in_this_python", lambda: (ours / "lib").exists())
    found = [find_ciao(str(given), variables)]
    for folder in (given, activated, of_conda, ours):
        found.append(find_ciao("", variables))
        shutil.rmtree(found[-1].prefix)
        if folder == activated:
            del variables["ASCDS_INSTALL"]
    assert [one.prefix for one in found] == [given, activated, of_conda, ours, listed]
    assert [one.found_by for one in found] == [
        "[ciao] prefix",
        "the activated environment ASCDS_INSTALL",
        "the activated environment CONDA_PREFIX",
        "this Python",
        "conda's environment",
    ]


def test_this_python_counts_if_it_has_runtool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = small_ciao(tmp_path / "ciao")
    monkeypatch.setattr(sys, "prefix", str(prefix))
    with pytest.raises(MissingInput):
        find_ciao("", outside())
    monkeypatch.syspath_prepend(str(prefix / "lib"))
    assert find_ciao("", outside()).found_by == "this Python"


def test_of_conda_s_environments_the_newest(tmp_path: Path) -> None:
    envs = [small_ciao(tmp_path / f"ciao-{n}", version=n) for n in ("4.9.0", "4.18.1", "4.16.0")]
    assert find_ciao("", conda(tmp_path / "conda", *envs)).version == "4.18.1"


def test_where_it_was_looked_is_told_with_how_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "analysis").mkdir()
    old = small_ciao(tmp_path / "ciao-4.12", version="4.12.1")
    variables = conda(tmp_path / "conda", tmp_path / "analysis", old) | {
        "CONDA_PREFIX": str(tmp_path / "analysis")
    }
    with pytest.raises(MissingInput) as caught:
        find_ciao("", variables)
    message = str(caught.value)
    for part in (
        "[ciao] prefix: not set",
        f"the activated environment CONDA_PREFIX ({tmp_path / 'analysis'}): it has no bin/dmlist",
        f"this Python: {sys.executable} has no ciao_contrib.runtool",
        f"conda's environment ({old}): it is CIAO 4.12.1, expected 4.14 or later",
        "conda create -n ciao -c https://cxc.cfa.harvard.edu/conda/ciao -c conda-forge ciao sherpa",
    ):
        assert part in message
    with pytest.raises(
        MissingInput, match=r"neither ASCDS_INSTALL nor CONDA_PREFIX is set.*conda: no conda, mamba"
    ):
        find_ciao("", outside())


@pytest.mark.parametrize("said", ["exit 1", "echo no JSON", "echo '[]'", "echo '{\"envs\": 3}'"])
def test_a_conda_that_fails(said: str, tmp_path: Path) -> None:
    variables = conda(tmp_path / "conda")
    program(tmp_path / "conda", "conda", f"#!/bin/sh\n{said}\n")
    with pytest.raises(MissingInput, match=r"conda: `.*conda env list --json` fails"):
        find_ciao("", variables)


@pytest.mark.parametrize("what", ["nothing", "old", "a blank"])
def test_a_prefix_that_is_no_ciao_is_refused(what: str, tmp_path: Path) -> None:
    """Also if there is another one: it was asked for."""
    activated = small_ciao(tmp_path / "activated")
    prefix = tmp_path / {"nothing": "nothing", "old": "old", "a blank": "a blank"}[what]
    if what != "nothing":
        small_ciao(prefix, version="4.13.0" if what == "old" else "4.17.0")
    expected = {"nothing": "no bin/dmlist", "old": "4.13.0, expected 4.14", "a blank": "has a blank"}[what]
    with pytest.raises(ConfigError, match=expected):
        find_ciao(str(prefix), outside(ASCDS_INSTALL=str(activated)))


def test_conda_is_activated_as_its_scripts_do(tmp_path: Path) -> None:
    prefix = small_ciao(tmp_path / "ciao")
    (prefix / "CALDB").mkdir()
    (prefix / "etc/conda/activate.d/caldb.sh").write_text(
        'export CALDB="$CONDA_PREFIX/CALDB" CALDBCONFIG=x CALDBALIAS=y\n'
    )
    (prefix / "conda-meta/caldb_main-4.11.6-0.json").write_text("{}")
    theirs = {
        "PYTHONPATH": "/ours",
        "VIRTUAL_ENV": "/ours",
        "LD_LIBRARY_PATH": "/cray/lib",
        "PFILES": "/home/pfiles;/heasoft/syspfiles",
        "CONDA_PREFIX": "/another",
        "KEPT": "1",
    }
    ciao = find_ciao(str(prefix), outside(**theirs))
    assert (ciao.version, ciao.caldb_version, ciao.caldb) == ("4.17.0", "4.11.6", prefix / "CALDB")
    assert ciao.python == prefix / "bin/python3"
    found = ciao.environment
    assert found["CONDA_PREFIX"] == found["ASCDS_INSTALL"] == str(prefix)
    assert (found["CALDBCONFIG"], found["CALDBALIAS"], found["KEPT"]) == ("x", "y", "1")
    assert found["ASCDS_CALIB"] == str(prefix / "data")
    assert found["PYTHONPATH"] == str(prefix / "lib")
    assert found["PATH"].split(":")[0] == str(prefix / "bin")
    assert not {"VIRTUAL_ENV", "LD_LIBRARY_PATH"} & found.keys()
    private = tmp_path / "private"
    private.mkdir()
    own = ciao.environment_of(private)
    assert own["PFILES"] == f"{private}/param;{prefix}/param"
    assert own["ASCDS_WORK_PATH"] == f"{private}/work"
    assert all((private / name).is_dir() for name in ("param", "work"))


def test_a_classic_installation(tmp_path: Path) -> None:
    prefix = classic(tmp_path / "ciao-4.16")
    ciao = find_ciao(str(prefix), outside(ASCDS_INSTALL="/older/ciao", LD_LIBRARY_PATH="/cray/lib"))
    assert (ciao.version, ciao.caldb_version) == ("4.16.0", "4.11.0")
    assert ciao.python == prefix / "ots/bin/python3"
    found = ciao.environment
    assert found["ASCDS_OWN"] == "1"
    assert found["PFILES"] == f";{prefix}/contrib/param:{prefix}/param"
    assert found["LD_LIBRARY_PATH"] == str(prefix / "lib")
    assert found["PATH"].startswith(f"{prefix}/bin:{prefix}/ots/bin:{prefix}/contrib/bin:")


def test_what_was_changed_after_the_activation_holds(tmp_path: Path) -> None:
    """Such as another CALDB, a Python environment on top of it, and HEASoft's parameter files."""
    prefix = small_ciao(tmp_path / "ciao")
    ciao = find_ciao(
        "",
        outside(
            ASCDS_INSTALL=str(prefix),
            CALDB="/soft/CALDB",
            PATH=f"/venv/bin:/usr/bin:{prefix}/bin:/bin",
            PFILES="/home/pfiles;/heasoft/syspfiles",
            PYTHONPATH=f"/venv/lib:{prefix}/lib",
        ),
    )
    assert ciao.caldb == Path("/soft/CALDB")
    assert ciao.environment["PATH"] == f"{prefix}/bin:/venv/bin:/usr/bin:/bin"
    assert ciao.environment["PFILES"] == f";{prefix}/param:/heasoft/syspfiles"
    assert ciao.environment["PYTHONPATH"] == f"{prefix}/lib"


def test_a_database_of_another_place_if_it_is_of_chandra(tmp_path: Path) -> None:
    prefix = small_ciao(tmp_path / "ciao")
    assert find_ciao(str(prefix), outside(CALDB=str(tmp_path / "CALDB"))).caldb is None
    (tmp_path / "CALDB/data/chandra/acis/bkgrnd").mkdir(parents=True)
    ciao = find_ciao(str(prefix), outside(CALDB=str(tmp_path / "CALDB")))
    assert (ciao.caldb, ciao.has_blank_sky) == (tmp_path / "CALDB", False)
    (tmp_path / "CALDB/data/chandra/acis/bkgrnd/acis0iD2009-09-21bkgrnd_ctiN0001.fits").touch()
    assert ciao.has_blank_sky


def test_scripts_that_fail(tmp_path: Path) -> None:
    prefix = small_ciao(tmp_path / "ciao")
    (prefix / "etc/conda/activate.d/zz.sh").write_text("echo 'licence server is down'\nexit 3\n")
    with pytest.raises(CiaoError, match=r"its scripts end with exit code 3 \(licence server is down\)"):
        find_ciao(str(prefix), outside())


def test_without_a_python_of_its_own(tmp_path: Path) -> None:
    prefix = small_ciao(tmp_path / "ciao")
    (prefix / "bin/python3").unlink()
    with pytest.raises(CiaoError, match="has no Python of its own"):
        find_ciao(str(prefix), outside())

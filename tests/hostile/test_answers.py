"""Situations that people and systems cause at the command line, and its answers, as a table.

A row has the situation, the command, its exit code, and words of its only line. Nothing on the disk may change except
by the situation itself. No row may wait, show a traceback, or print more than a line.
"""
# ruff: noqa: E501 (rows of a table)

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from ordinary import ordinary_user
from situations import Prepare, both, directory, edit, fifo, file, link, nothing, unix_socket

from pyxt_hpc.cli import main
from pyxt_hpc.errors import MAX_PROBLEMS
from pyxt_hpc.store.reader import read_store

ROOT = Path(__file__).resolve().parents[2]

LONG = "9" * 5000
LETTERS = "x" * 100_000
SECONDS = 10.0
"""For any row; most take some milliseconds. Who waits for a pipe waits for ever: the alarm rings."""


def set_key(key: str, value: str) -> Prepare:
    """Give a key of the configuration another value."""

    def prepare(folder: Path) -> None:
        path = folder / "demo.ini"
        lines = path.read_text().splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{key} "))
        lines[at] = f"{key} = {value}"
        path.write_text("\n".join(lines) + "\n")

    return prepare


def sized(name: str, size: int) -> Prepare:
    """A large file without content (sparse)."""

    def prepare(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        with (folder / name).open("wb") as file:
            file.truncate(size)

    return prepare


BUNDLE, RESULTS = "demo/acb/demo_bundle.h5", "demo/acb/demo_results.h5"
SCALE_MAP, INDEX_MAP = "demo/acb/demo_pype_scale_map.fits", "demo/acb/demo_scale_map_region_index.fits"
C = "-c demo.ini"
PLASMA = "fit-pha a.pi --redshift 0.1 --nH 0.05"

# situation, cause, command, words of the line
CONFIGURATIONS = [
    ("absent", nothing, "status -c none.ini", "no such file", "init-cluster"),
    ("no name", nothing, "status -c ''", "is a folder"),
    ("the folder itself", nothing, "status -c .", "is a folder"),
    ("a folder", directory("a.ini"), "status -c a.ini", "is a folder"),
    ("a pipe", fifo("a.ini"), "status -c a.ini", "is a pipe"),
    ("a socket", unix_socket("a.ini"), "status -c a.ini", "is a socket"),
    ("a device", nothing, "status -c /dev/zero", "is a device"),
    ("loop of links", both(link("a.ini", "b.ini"), link("b.ini", "a.ini")), "status -c a.ini", "loop of links"),
    ("link to nothing", link("a.ini", "gone.ini"), "status -c a.ini", "gone.ini, which does not exist"),
    ("below a file", nothing, "status -c demo.ini/a.ini", "not a folder"),
    ("name of 300 letters", nothing, f"status -c {'a' * 300}.ini", "name too long"),
    ("200 MB", sized("a.ini", 200_000_000), "status -c a.ini", "200 MB", "at most 1 MB"),
    ("NUL bytes", file("a.ini", b"[cluster_info]\nname = a\0b\n"), "status -c a.ini", "NUL"),
    ("not UTF-8", file("a.ini", b"[cluster_info]\nname = \xff\xfe\n"), "status -c a.ini", "UTF-8"),
    ("a picture", file("a.ini", b"\x89PNG\r\n\x1a\n" + bytes(range(256))), "run -c a.ini", "not a text file"),
    ("no section", file("a.ini", b"name = 1\n"), "status -c a.ini", "no section headers"),
    ("line of 100 kB", file("a.ini", LETTERS.encode()), "status -c a.ini", "cannot be read as an INI file"),
    ("value of 100 kB", set_key("redshift", LETTERS), f"status {C}", "redshift", "(100000 characters)"),
    ("key of 100 kB", edit("redshift ", f"{LETTERS} = 1\nredshift "), f"status {C}", "unknown", "(100000 characters)"),
    ("section of 100 kB", edit("[cluster_info]", f"[{LETTERS}]\n[cluster_info]"), f"status {C}", "is unknown"),
    ("60,000 unknown keys", edit("redshift ", "".join(f"k{i}=1\n" for i in range(60_000)) + "redshift "),
     f"status {C}", "k0 is unknown"),
    ("20,000 unknown sections", file("a.ini", "".join(f"[s{i}]\n" for i in range(20_000)).encode()),
     "status -c a.ini", "[s0] is unknown"),
    ("home of nobody", set_key("data_directory", "~nosuchuser/data"), f"status {C}", "~nosuchuser", "in full"),
    ("data in a loop", both(link("d", "d"), set_key("data_directory", "d")), f"process-data {C}", "data_directory|loop|Symlink|levels"),
    ("data in a file", both(file("d"), set_key("data_directory", "d")), f"fit-spectra {C}", "not a folder"),
    ("data in a path of 5000 letters", set_key("data_directory", "d/" * 2500), f"fit-spectra {C}", "too long"),
    ("name of 300 letters inside", set_key("name", "a" * 300), f"status {C}", "at most 100 characters"),
    ("name that climbs", set_key("name", "../../etc"), f"status {C}", "'../../etc'"),
    ("5000 digits", set_key("num_cpus", LONG), f"status {C}", "num_cpus", "(5000 characters)"),
    ("not a number", set_key("redshift", "nan"), f"status {C}", "redshift is nan"),
    ("infinite", set_key("signal_to_noise_threshold", "1e999"), f"status {C}", "signal_to_noise_threshold"),
    ("ObsID of 5000 digits", set_key("observation_ids", LONG), f"status {C}", "observation_ids", "(5000 characters)"),
]  # fmt: skip

LINES = [
    ("nothing", nothing, "", "a command is missing"),
    ("unknown command", nothing, "fit-spektra", "unknown command"),
    ("command of 100 kB", nothing, LETTERS, "(100000 characters)"),
    ("unknown option of 100 kB", nothing, f"status {C} --{LETTERS}", "unknown option"),
    ("NUL", nothing, "status -c 'a\0b'", "NUL"),
    ("slice of 5000 digits", nothing, f"fit-spectra {C} --slice 1/{LONG}", "--slice", "9999"),
    ("slice 0", nothing, f"fit-spectra {C} --slice 0/3", "--slice 0/3"),
    ("slice beyond", nothing, f"fit-spectra {C} --slice 4/3", "--slice 4/3"),
    ("slice in Arabic digits", nothing, f"fit-spectra {C} --slice ٣/٢", "--slice"),
    ("hours of 5000 digits", nothing, f"fit-spectra {C} --time-limit {LONG}:00:00", "time limit"),
    ("seconds of 5000 digits", nothing, f"fit-spectra {C} --time-limit {LONG}", "time limit"),
    ("no time", nothing, f"fit-spectra {C} --time-limit 0", "time limit", "above 0"),
    ("negative time", nothing, f"fit-spectra {C} --time-limit=-5", "time limit"),
    ("10^20 processes", nothing, f"fit-spectra {C} --num-cpus 99999999999999999999", "--num-cpus", "4096"),
    ("10^20 processes for bins", nothing, f"create-bins {C} --num-cpus 99999999999999999999", "--num-cpus"),
    ("processes of 5000 digits", nothing, f"fit-spectra {C} --num-cpus {LONG}", "--num-cpus", f"'{LONG[:100]}... (5000 characters)'"),
    ("negative processes", nothing, f"fit-spectra {C} --num-cpus=-1", "--num-cpus"),
    ("no regions", nothing, f"fit-spectra {C} --max-regions 0", "--max-regions"),
    ("regions of 5000 digits", nothing, f"fit-spectra {C} --max-regions {LONG}", "--max-regions"),
    ("resolution 4", nothing, f"fit-spectra {C} --resolution 4", "--resolution"),
    ("list of 5000 digits", nothing, f"fit-spectra {C} --regions {LONG}", "regions are"),
    ("list of 10^9", nothing, f"fit-spectra {C} --regions 1-999999999", "regions are"),
    ("region that is not there", nothing, f"fit-spectra {C} --regions 99999999", "region 99999999"),
    ("region of 5000 digits", nothing, f"fit-region {C} {LONG}", "regions are", "(5000 characters)"),
    ("region in words", nothing, f"fit-region {C} first", "'first'"),
    ("sample of 10^14", nothing, f"estimate {C} --sample 99999999999999", "--sample"),
    ("no sample", nothing, f"estimate {C} --sample 0", "--sample"),
    ("no sample to compare", nothing, f"compare-engines {C} --sample 0", "--sample"),
    ("sample of 5000 digits", nothing, f"compare-engines {C} --sample {LONG}", "--sample"),
    ("nodes of 5000 digits", nothing, f"make-job {C} --site slurm --nodes {LONG}", "nodes"),
    ("array of 10^20", nothing, f"make-job {C} --site slurm --array 99999999999999999999", "array"),
    ("negative array", nothing, f"make-job {C} --site slurm --array=-2", "array"),
    ("time of 5000 digits", nothing, f"make-job {C} --site slurm --time {LONG}:00:00", "time", "(5006 characters)"),
    ("site of nobody", nothing, f"make-job {C} --site '~nosuchuser/x'", "~nosuchuser"),
    ("site of 100 kB", nothing, f"estimate {C} --site {LETTERS}", "name too long"),
    ("site is a pipe", fifo("s"), f"make-job {C} --site ./s", "is a pipe"),
    ("site is a folder", nothing, f"make-job {C} --site .", "is a folder"),
    ("site is unknown", nothing, f"make-job {C} --site nowhere", "known sites: lumi"),
    ("script is a folder", nothing, f"make-job {C} --site slurm --output .", "folder"),
    ("script below a file", nothing, f"make-job {C} --site slurm --output demo.ini/job.sh", "cannot be written|not a folder"),
    ("pack into .", nothing, f"pack {C} --output .", "folder"),
    ("pack into a folder", nothing, f"pack {C} --output demo", "is a folder"),
    ("pack into a pipe", fifo("p"), f"pack {C} --output p", "is a pipe"),
    ("pack into a device", nothing, f"pack {C} --output /dev/null", "is a device"),
    ("pack below a file", nothing, f"pack {C} --output demo.ini/p.tar", "cannot be written|not a folder"),
    ("unpack a folder", nothing, "unpack . --directory new", "is a folder"),
    ("unpack a pipe", fifo("p"), "unpack p --directory new", "is a pipe"),
    ("unpack a device", nothing, "unpack /dev/zero --directory new", "is a device"),
    ("unpack nothing", nothing, "unpack none.tar --directory new", "none.tar"),
    ("unpack a text", nothing, "unpack demo.ini --directory new", "demo.ini"),
    ("unpack into a file", nothing, "unpack none.tar --directory demo.ini", "none.tar|demo.ini"),
    ("spectrum is a folder", nothing, "fit-pha . --redshift 0.1 --nH 0.05", "is a folder"),
    ("spectrum is a pipe", fifo("a.pi"), PLASMA, "is a pipe"),
    ("spectrum is a text", file("a.pi"), PLASMA, "a.pi", "damaged or not FITS"),
    ("spectrum is absent", nothing, PLASMA, "a.pi", "not found"),
    ("redshift is nan", nothing, "fit-pha a.pi --redshift nan --nH 0.05", "redshift"),
    ("nH is infinite", nothing, "fit-pha a.pi --redshift 0.1 --nH inf", "nH"),
    ("band upside down", nothing, f"{PLASMA} --energy 8 0.7", "energy"),
    ("band is nan", nothing, f"{PLASMA} --energy nan 7", "energy"),
    ("name of 300 letters", nothing, f"init-cluster {'a' * 300}", "at most 100 characters"),
    ("name with blanks", nothing, "init-cluster 'Abell 1795'", "Abell 1795"),
    ("name that climbs", nothing, "init-cluster ../A", "'../A'"),
    ("cluster is a file", file("A"), "init-cluster A", "A"),
    ("cluster is there", file("demo_cluster_config.ini"), "init-cluster demo", "--yes"),
    ("export into a file", nothing, f"results export {C} --output demo.ini", "demo.ini"),
    ("pull from nothing", nothing, f"results pull {C} gone", "gone"),
    ("pull from a file", nothing, f"results pull {C} demo.ini", "demo.ini"),
    ("demo in a file", nothing, "demo --directory demo.ini", "demo.ini"),
    ("demo of 10^20 ranks", nothing, "demo --directory new --ranks 99999999999999999999", "--ranks"),
    ("demo of -5 ranks", nothing, "demo --directory new --ranks=-5", "--ranks"),
    ("stages upside down", nothing, f"run {C} --from make-maps --through process-data", "comes after"),
    ("replace without asking", nothing, f"fit-spectra {C} --resolution 1", "--yes"),
]  # fmt: skip

READERS = {
    BUNDLE: ["create-bins", "fit-spectra --continue", "fit-region 1", "estimate", "pack", "make-temperature-map"],
    RESULTS: ["status", "results verify", "results export", "fit-spectra --continue",
              "fit-spectra --yes", "make-temperature-map"],
    SCALE_MAP: ["fit-spectra --continue", "fit-region 1", "estimate"],
    "demo/sources.reg": ["remove-sources --force"],
    "demo/combined/master_crop-ciaowcs.reg": ["crop-data --force"],
    "demo/4001/4001.arf": ["generate-responses --force"],
    "demo/4001/4001_background.fits": ["process-data --force"],
}  # fmt: skip
OBSTACLES: dict[str, Callable[[str], Prepare]] = {
    "a pipe": fifo,
    "a folder": directory,
    "a loop of links": lambda name: link(name, Path(name).name),
}
PRODUCTS = [
    (f"{Path(name).name} is {what}", obstacle(name), f"{line} {C}", what)
    for name, lines in READERS.items()
    for line in lines
    for what, obstacle in OBSTACLES.items()
    if (line, what) != ("fit-spectra --yes", "a loop of links")  # may be replaced, as nothing is lost by it
]

ROWS = [*CONFIGURATIONS, *LINES, *PRODUCTS]


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file except the records of steps, since a failed step has none."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.parent.name != "steps" and not (path.is_dir() and not path.is_symlink())
    }


@pytest.fixture
def ring() -> Iterator[None]:
    """Fail instead of waiting for ever."""

    def late(number: int, frame: object) -> None:
        raise AssertionError(f"took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("ring")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[2][:40]}")
def test_one_line_that_says_what_to_do(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], row: tuple
) -> None:
    _, prepare, line, *words = row
    monkeypatch.chdir(work)
    prepare(work)
    before = state(work)
    capsys.readouterr()
    code = main(shlex.split(line))
    out, err = capsys.readouterr()
    said = without_remarks(err)
    assert code == 2, err
    assert said[0].startswith("pyxt-hpc: error: "), err
    assert all(line.startswith("  ") for line in said[1:]), err
    assert len(said) <= 1 + MAX_PROBLEMS + 1, err
    whole = "\n".join(said)
    assert len(whole) < 4100
    for word in words:
        assert any(one in whole for one in word.split("|")), whole
    assert state(work) == before


def without_remarks(err: str) -> list[str]:
    """Lines on standard error, without lines of the log."""
    return [text for text in err.splitlines() if not text.startswith(("INFO", "WARNING"))]


# Permissions: file that cannot be read or written, command, words. No file belongs to the user who runs it.
PERMISSIONS = [
    ("configuration", "demo.ini", 0o000, f"status {C}", "demo.ini", "Permission denied"),
    ("folder of products", "demo/acb", 0o000, f"status {C}", "demo_results.h5", "Permission denied"),
    ("folder of products", "demo/acb", 0o000, f"fit-spectra {C} --continue", "Permission denied"),
    ("folder of products", "demo/acb", 0o000, f"create-bins {C}", "Permission denied"),
    ("folder of the cluster", "demo", 0o000, f"process-data {C}", "Permission denied"),
    ("folder of the cluster", "demo", 0o000, f"run {C}", "Permission denied"),
    ("bundle", BUNDLE, 0o000, f"fit-region {C} 1", "demo_bundle.h5", "Permission denied"),
    ("bundle", BUNDLE, 0o000, f"create-bins {C}", "Permission denied"),
    ("results", RESULTS, 0o000, f"status {C}", "demo_results.h5", "Permission denied"),
    ("results", RESULTS, 0o000, f"results verify {C}", "demo_results.h5", "Permission denied"),
    ("results", RESULTS, 0o444, f"fit-spectra {C} --resolution 1 --continue", "Permission denied"),
    ("events", "demo/4001/primary", 0o000, f"process-data {C} --force", "4001"),
    ("ARF", "demo/4001/4001.arf", 0o000, f"generate-responses {C} --force", "Permission denied"),
    ("regions", "demo/sources.reg", 0o000, f"remove-sources {C} --force", "sources.reg", "Permission denied"),
    ("export", "demo/acb", 0o555, f"results export {C}", "demo_all|demo_best", "Permission denied"),
    ("maps", "demo/main_output", 0o555, f"make-temperature-map {C}", "main_output", "Permission denied"),
    ("script", "demo", 0o555, f"make-job {C} --site slurm", "machinery-slurm", "Permission denied"),
    ("packed file", ".", 0o555, f"pack {C}", "demo_packed.tar", "Permission denied"),
    ("archive", "demo.ini", 0o000, "unpack demo.ini --directory new", "demo.ini", "Permission denied"),
    ("folder to pull", "demo/acb", 0o000, f"results pull {C} demo/acb", "Permission denied"),
    ("new cluster", ".", 0o555, "init-cluster A", "A", "Permission denied"),
    ("demo", ".", 0o555, "demo --directory new", "new", "Permission denied"),
]  # fmt: skip


@pytest.fixture
def others(tiny_cluster: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the cluster whose permissions may be changed."""
    folder = tmp_path / "work"
    shutil.copytree(tiny_cluster, folder)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


@pytest.mark.usefixtures("ring")
@pytest.mark.parametrize("row", PERMISSIONS, ids=lambda row: f"{row[0]}: {row[3][:40]}")
def test_what_one_may_not_do_is_named(
    others: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], row: tuple
) -> None:
    _, name, mode, line, *words = row
    monkeypatch.chdir(others)
    before = state(others)
    (others / name).chmod(mode)
    with ordinary_user():
        code = main(shlex.split(line))
    (others / name).chmod(0o755)
    said = without_remarks(capsys.readouterr().err)
    assert (code, len(said)) == (2, 1), said
    for word in words:
        assert any(one in said[0] for one in word.split("|")), said[0]
    assert state(others) == before


FIT = f"fit-spectra {C} --resolution 1"
SERIAL = "OMP_NUM_THREADS=1 $PYXT"
MPI = "OMP_NUM_THREADS=1 mpiexec -n 3 $PYXT"
SHM = "unshare -m bash -c 'mount -t tmpfs -o {} tmpfs /dev/shm && " + MPI + " " + FIT + " --yes'"

# situation, shell line, exit code, words on standard error (none: not a line)
PROCESSES = [
    ("standard error closed", f"{SERIAL} {FIT} --yes 2>&-", 0),
    ("standard error full", f"{SERIAL} {FIT} --yes 2>/dev/full", 0),
    ("standard output full", f"{SERIAL} {FIT} --yes >/dev/full", 0, "standard output cannot be written"),
    ("standard output not for writing", f"{SERIAL} {FIT} --yes 1</dev/null", 0, "Bad file descriptor"),
    ("all closed", f"{SERIAL} {FIT} --yes <&- >&- 2>&-", 0),
    ("standard input closed", f"{SERIAL} {FIT} <&-", 2, "--yes"),
    ("standard input empty", f"{SERIAL} {FIT} </dev/null", 2, "--yes"),
    ("help to a full disk", "$PYXT --help >/dev/full", 0, "standard output cannot be written"),
    ("help to nobody", "set -o pipefail; $PYXT --help | true", 0),
    ("status to nobody", f"set -o pipefail; $PYXT status {C} | true", 0),
    ("error to a full disk", "$PYXT status -c none.ini 2>/dev/full", 2),
    ("no letters but ASCII", "mkdir Größe★; cp demo.ini Größe★/; PYTHONIOENCODING=ascii $PYXT make-job -c Größe★/demo.ini "
     "--site slurm", 0),
    ("locale C", "mkdir Größe★; LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 $PYXT status -c Größe★/none.ini", 2, "none.ini"),
    ("a name that is no text", "$PYXT status -c $'\\xff\\xfe.ini'", 2, "no such file"),
    ("few files", f"ulimit -n 6; {SERIAL} {FIT} --continue", 2, "ulimit -n"),
    ("little memory", f"ulimit -v 600000; {SERIAL} {FIT} --yes", 2, "memory"),
    ("no memory for libraries", f"ulimit -v 200000; {SERIAL} {FIT} --yes", 2, "memory"),
    ("no threads", f"NUMBA_NUM_THREADS=0 {SERIAL} {FIT} --yes", 2, "NUMBA_NUM_THREADS"),
    ("nowhere to write", f"HOME=/nowhere TMPDIR=/nowhere {SERIAL} {FIT} --yes", 0),
    ("pictures on no screen", f"MPLBACKEND=bogus {SERIAL} fit-region {C} 1", 0),
    ("ranks that are not there", f"PYXT_HPC_RANKS=4 {SERIAL} {FIT} --yes", 2, "asks for 4 ranks", "finds 1"),
    ("ranks asked for in words", f"PYXT_HPC_RANKS=many {SERIAL} {FIT} --yes", 2, "PYXT_HPC_RANKS is 'many'"),
    ("one rank asked for", f"PYXT_HPC_RANKS=1 {SERIAL} {FIT} --continue", 0),
    ("ranks asked for, a serial command", f"PYXT_HPC_RANKS=4 $PYXT results merge {C}", 2, "no part to merge"),
    ("flux with another MPI", f"FLUX_JOB_SIZE=3 {SERIAL} {FIT} --yes", 2, "flux started 3 processes"),
    ("PALS with another MPI", f"PALS_RANKID=1 {SERIAL} {FIT} --yes", 2, "mpiexec of PALS"),
    ("one of many with another MPI", f"FLUX_JOB_SIZE=3 FLUX_TASK_RANK=2 {SERIAL} {FIT} --yes", 2),
    ("a serial command on many ranks", f"FLUX_JOB_SIZE=3 FLUX_TASK_RANK=0 $PYXT pack {C}", 2, "pack is serial"),
    ("a serial command, another rank", f"FLUX_JOB_SIZE=3 FLUX_TASK_RANK=1 $PYXT pack {C}", 2),
    ("wrong option on three ranks", f"{MPI} {FIT} --slice x", 2, "--slice x"),
    ("unknown option on three ranks", f"{MPI} {FIT} --sluce x", 2, "--sluce"),
    ("no configuration on three ranks", f"{MPI} fit-spectra -c none.ini", 2, "none.ini"),
    ("more ranks asked for", f"PYXT_HPC_RANKS=5 {MPI} {FIT} --yes", 2, "asks for 5 ranks"),
    ("as many as asked for", f"PYXT_HPC_RANKS=3 {MPI} {FIT} --yes", 0),
    ("shared memory of 8 MB", SHM.format("size=8m"), 2, "/dev/shm", "--shm-size"),
    ("shared memory not for writing", SHM.format("ro"), 2, "/dev/shm", "cannot be written"),
]  # fmt: skip


@pytest.mark.parametrize("row", PROCESSES, ids=lambda row: row[0])
def test_streams_limits_and_launches(work: Path, row: tuple) -> None:
    _, line, code, *words = row
    mpiexec = Path(sys.executable).with_name("mpiexec")
    if "mpiexec -n" in line and not mpiexec.exists():
        pytest.skip(f"no {mpiexec}: pip install 'pyxt_hpc[mpi]' brings it")
    if line.startswith("unshare") and os.geteuid():
        pytest.skip("mounts need root")
    before = read_store(work / RESULTS)
    done = subprocess.run(
        ["bash", "-c", line.replace("mpiexec -n", f"{mpiexec} -n").replace("$PYXT", f"{sys.executable} -P -m pyxt_hpc")],
        cwd=work, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    said = without_remarks(done.stderr)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert len([text for text in said if text.startswith("pyxt-hpc: ")]) == bool(words), said
    for word in words:
        assert word in done.stderr
    assert not list(work.rglob(".tmp-*"))
    assert not list(work.rglob("*.lock"))
    after = read_store(work / RESULTS)
    np.testing.assert_array_equal(after.status, before.status)
    np.testing.assert_allclose(after.rows["kT"], before.rows["kT"], rtol=1e-6)

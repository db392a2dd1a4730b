"""Damage to files (locks, products, configurations, archives, disks) as a table; no result is lost.

A row has the situation, the command, its exit code, words of its line, and the files that may be different afterwards;
all others must be the same to the last bit. Situations that need another process come after the table.
"""
# ruff: noqa: E501 (rows of a table)

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from situations import Prepare, away, directory, edit, fifo, file, link, nothing, unix_socket

from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.files import lock as lock_module
from pyxt_hpc.files.lock import this_process
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import Status
from pyxt_hpc.store.writer import ResultsStore

STORE = "demo/acb/demo_results.h5"
LOCK = f"{STORE}.lock"
BUNDLE = "demo/acb/demo_bundle.h5"
RADII = "demo/acb/demo_pype_scale_map.fits"
EVENTS = "demo/4001/analysis/acisI.fits"
CHIPS = "demo/4001/analysis/acisI_geometry.fits"
SOURCES = "demo/sources.reg"
EVT2 = "demo/4001/primary/acisf04001N003_evt2.fits"
TABLE = "demo/acb/demo_spectral_fits.ecsv"
GOODNESS = tuple(f"demo/main_output/demo_goodness_map.{suffix}" for suffix in ("fits", "png"))
STATUS = "status -c demo.ini"
EXPORT = "results export -c demo.ini --format ecsv"
FIT = "fit-spectra -c demo.ini --resolution 1 --num-cpus 1 --continue"
MAPS = "make-temperature-map -c demo.ini"
PROCESS = "process-data -c demo.ini"


def lock_of(**changes: object) -> Prepare:
    """A lock with an invalid value."""
    owner = asdict(replace(this_process(), machine="another machine", host="node7")) | changes
    return file(LOCK, json.dumps({"owner": owner, "token": "x"}))


def flip(name: str, at: int | bytes) -> Prepare:
    """Flip one bit of a product, at a position or in certain bytes."""

    def prepare(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[at if isinstance(at, int) else content.index(at)] ^= 1
        file(name, bytes(content))(folder)

    return prepare


def cut(name: str, share: float) -> Prepare:
    def prepare(folder: Path) -> None:
        content = (folder / name).read_bytes()
        file(name, content[: int(share * len(content))])(folder)

    return prepare


def pixel(change: Callable[[float], float]) -> Prepare:
    """Change a pixel of the scale map, like a program that keeps the old checksum."""

    def prepare(folder: Path) -> None:
        content = (folder / RADII).read_bytes()
        with fits.open(folder / RADII) as hdus:
            values = np.array(hdus[0].data)
        start = content.index(values.tobytes())
        at = int(np.flatnonzero(values)[30])
        values.ravel()[at] = change(float(values.ravel()[at]))
        file(RADII, content[:start] + values.tobytes() + content[start + values.nbytes :])(folder)

    return prepare


def saved_again(name: str) -> Prepare:
    """Write a product again, like a program that does not know checksums."""

    def prepare(folder: Path) -> None:
        with fits.open(folder / name) as hdus:
            units = fits.HDUList([type(hdu)(hdu.data, hdu.header) for hdu in hdus])
            for unit in units:
                unit.header.remove("CHECKSUM")
                unit.header.remove("DATASUM")
            away(folder, name)
            units.writeto(folder / name)

    return prepare


def drawn(name: str) -> Prepare:
    """Add a circle to a region file."""

    def prepare(folder: Path) -> None:
        file(name, (folder / name).read_text() + 'circle(10:00:02,+20:00:00,5")\n')(folder)

    return prepare


NO_LOCK = "not a lock of pyxt-hpc: move it away"
NESTED = '{"owner": ' * 2000
AGAIN = "create-bins -c"

# situation: (what happens, command, exit code, words, what may differ afterwards)
ROWS: dict[str, tuple[Prepare, str, int, str, tuple[str, ...]]] = {
    "lock: pipe, status": (fifo(LOCK), STATUS, 2, f"is a pipe or device, {NO_LOCK}", ()),
    "lock: pipe, fit": (fifo(LOCK), FIT, 2, f"is a pipe or device, {NO_LOCK}", ()),
    "lock: folder, status": (directory(LOCK), STATUS, 2, f"is a folder, {NO_LOCK}", ()),
    "lock: folder, fit": (directory(LOCK), FIT, 2, f"is a folder, {NO_LOCK}", ()),
    "lock: socket, status": (unix_socket(LOCK), STATUS, 2, NO_LOCK, ()),
    "lock: socket, fit": (unix_socket(LOCK), FIT, 2, NO_LOCK, ()),
    "lock: link to nothing, status": (link(LOCK, "nowhere"), STATUS, 2, f"is a link, {NO_LOCK}", ()),
    "lock: link to nothing, fit": (link(LOCK, "nowhere"), FIT, 2, f"is a link, {NO_LOCK}", ()),
    "lock: loop of links, status": (link(LOCK, "demo_results.h5.lock"), STATUS, 2, f"is a link, {NO_LOCK}", ()),
    "lock: loop of links, fit": (link(LOCK, "demo_results.h5.lock"), FIT, 2, f"is a link, {NO_LOCK}", ()),
    "lock: link to a device, fit": (link(LOCK, "/dev/zero"), FIT, 2, f"is a link, {NO_LOCK}", ()),
    "lock: link to the store, maps": (link(LOCK, "demo_results.h5"), MAPS, 2, f"is a link, {NO_LOCK}", ()),
    "lock: notes": (file(LOCK), FIT, 2, NO_LOCK, ()),
    "lock: list": (file(LOCK, "[]"), STATUS, 2, NO_LOCK, ()),
    "lock: noise": (file(LOCK, os.urandom(5000)), FIT, 2, NO_LOCK, ()),
    "lock: nested deeply, status": (file(LOCK, NESTED), STATUS, 0, "no process is writing it", ()),
    "lock: pid is a text": (lock_of(pid="12"), STATUS, 2, NO_LOCK, ()),
    "lock: pid is a text, fit": (lock_of(pid="12"), FIT, 2, NO_LOCK, ()),
    "lock: pid is a float": (lock_of(pid=1.5), FIT, 2, NO_LOCK, ()),
    "lock: pid is null": (lock_of(pid=None), FIT, 2, NO_LOCK, ()),
    "lock: pid is 2^70": (lock_of(pid=2**70), FIT, 2, NO_LOCK, ()),
    "lock: pid is 2^70, here": (lock_of(pid=2**70, machine=this_process().machine), FIT, 2, NO_LOCK, ()),
    "lock: host is a list": (lock_of(host=[]), STATUS, 2, NO_LOCK, ()),
    "lock: old, of another machine": (lock_of(pid=7), STATUS, 0, "no process is writing it", ()),
    "lock: cut short, old": (file(LOCK, '{"owner": {"ho'), FIT, 0, "regions were fitted before", (LOCK, STORE)),
    "radius NaN": (pixel(lambda r: np.nan), FIT, 2, AGAIN, ()),
    "radius -5": (pixel(lambda r: -5), FIT, 2, AGAIN, ()),
    "radius twice": (pixel(lambda r: 2 * r), FIT, 2, AGAIN, ()),
    "radius 1e30": (pixel(lambda r: 1e30), FIT, 2, AGAIN, ()),
    "radius gone": (pixel(lambda r: 0), FIT, 2, AGAIN, ()),
    "radius NaN, maps": (pixel(lambda r: np.nan), MAPS, 2, AGAIN, ()),
    "scale map: bit of its S/N": (flip(RADII, b"SNTARGET="), FIT, 2, AGAIN, ()),
    "scale map: bit of its checksum": (flip(RADII, b"CHECKSUM="), FIT, 2, AGAIN, ()),
    "scale map: saved again": (saved_again(RADII), FIT, 2, "has no checksum", ()),
    "scale map: cut": (cut(RADII, 0.7), FIT, 2, AGAIN, ()),
    "scale map: empty": (file(RADII, ""), FIT, 2, AGAIN, ()),
    "scale map: notes": (file(RADII), FIT, 2, AGAIN, ()),
    "scale map: pipe": (fifo(RADII), FIT, 2, "is a pipe", ()),
    "events of stage 1: a bit": (flip(EVENTS, 20_000), "remove-sources -c demo.ini --force", 2, "does not match its checksum", ("demo/steps/remove-sources-4001.json",)),
    "chips: a bit": (flip(CHIPS, 6000), "crop-data -c demo.ini --force", 2, "make it again: pyxt-hpc process-data", ("demo/steps/crop-data.json",)),
    "chips: saved again": (saved_again(CHIPS), "crop-data -c demo.ini --force", 2, "has no checksum", ("demo/steps/crop-data.json",)),
    "bundle: a bit": (flip(BUNDLE, 100_000), FIT, 2, "demo_bundle.h5", ()),
    "store: a bit of its head": (flip(STORE, 3000), FIT, 2, "is damaged", ()),
    "store: cut": (cut(STORE, 0.9), STATUS, 2, "bytes instead of", ()),
    "store: a pipe": (fifo(STORE), STATUS, 2, "is a pipe", ()),
    "store: a folder, fit": (directory(STORE), FIT, 2, "is a folder", ()),
    "sources drawn again, crop": (drawn(SOURCES), "crop-data -c demo.ini", 2, "sources.reg: changed after remove-sources used it", ()),
    "response given again, crop": (saved_again("demo/4001/4001.arf"), "crop-data -c demo.ini", 2, "4001.arf: changed after generate-responses used it", ()),
    "responses of other names, crop": (edit("arf_files = {obsid}/{obsid}.arf", "arf_files = {obsid}/new.arf"), "crop-data -c demo.ini", 2, "arf_files of the configuration: changed after generate-responses used it", ()),
    "band beyond the response, crop": (edit("energy_max = 8 ", "energy_max = 12 "), "crop-data -c demo.ini", 2, "energies 0.30-11.00 keV, but the band is 0.7-12 keV", ("demo/steps/crop-data.json",)),
    "events given again, sources": (saved_again(EVT2), "remove-sources -c demo.ini", 2, "evt2.fits: changed after process-data used it", ()),
    "sources drawn again, export": (drawn(SOURCES), EXPORT, 0, "sources.reg: changed after the bundle was made", (TABLE,)),
    "statistic of later, export": (edit("statistic = wstat", "statistic = cstat"), EXPORT, 0, "(statistic wstat, now cstat): to fit again", (TABLE,)),
    "temperatures of later, paint": (edit("temperature_max = 40", "temperature_max = 20"), "make-maps goodness -c demo.ini", 0, "(temperature_max 40.0, now 20.0): to fit again", GOODNESS),
    "pack onto its bundle": (nothing, f"pack -c demo.ini --output {BUNDLE}", 2, "give another --output", ()),
    "pack onto its configuration": (nothing, "pack -c demo.ini --output demo.ini", 2, "give another --output", ()),
    "pack onto the store": (nothing, f"pack -c demo.ini --output {STORE}", 2, "give another --output", ()),
    "pack onto a folder": (nothing, "pack -c demo.ini --output demo", 2, "is a folder", ()),
    "pack onto a device": (nothing, "pack -c demo.ini --output /dev/null", 2, "is a device", ()),
    "pack onto a link to a device": (link("out", "/dev/full"), "pack -c demo.ini --output out", 2, "is a device", ()),
    "pack into a pipe": (fifo("out"), "pack -c demo.ini --output out", 2, "is a pipe", ()),
    "pack below a file": (file("a"), "pack -c demo.ini --output a/b.tar", 2, "", ()),
    "pack with a link to nothing for a bundle": (link(BUNDLE, "nowhere"), "pack -c demo.ini --output p.tar", 2, "demo_bundle.h5", ()),
    "unpack notes": (file("p.tar"), "unpack p.tar --directory a", 2, "cannot be unpacked", ()),
    "unpack a folder": (nothing, "unpack demo --directory a", 2, "is a folder", ()),
    "unpack a pipe": (fifo("p.tar"), "unpack p.tar --directory a", 2, "is a pipe", ()),
    "unpack the bundle": (nothing, f"unpack {BUNDLE} --directory a", 2, "cannot be unpacked", ()),
    "make a job in place of the configuration": (nothing, "make-job -c demo.ini --site slurm --output demo.ini", 2, "is not a script", ()),
    "pull from a pipe": (lambda folder: ((folder / "from").mkdir(), os.mkfifo(folder / "from" / "demo_results.h5")), "results pull -c demo.ini from", 2, "is a pipe", ()),
    "pull from a file": (file("from"), "results pull -c demo.ini from", 2, "", ()),
    "part that is no part": (lambda folder: shutil.copy(folder / STORE, folder / "demo/acb/demo_results_part-0001-of-0002.h5"), "results merge -c demo.ini", 2, "is not a part", ()),
    "part that is a folder": (directory("demo/acb/demo_results_part-0001-of-0002.h5"), "results merge -c demo.ini", 2, "is a folder", ()),
    "part that is notes": (file("demo/acb/demo_results_part-0001-of-0002.h5"), FIT, 2, "part-0001-of-0002.h5", (STORE,)),
    "export below a file": (file("a"), "results export -c demo.ini --output a", 2, "", ()),
    "maps below a file": (file("demo/main_output"), MAPS, 2, "", ()),
}  # fmt: skip


def digests(folder: Path) -> dict[str, str]:
    """Kind and content of everything below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {os.readlink(path)}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif not path.is_dir():
            found[name] = f"{path.lstat().st_mode:o}"
    return found


@contextmanager
def alarm(seconds: int) -> Iterator[None]:
    """Fail instead of waiting for ever."""

    def ring(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("row", ROWS)
def test_nothing_is_lost(
    work: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    row: str,
) -> None:
    prepare, command, code, words, may_differ = ROWS[row]
    monkeypatch.chdir(work)
    if "main_output" in row or row.startswith("maps"):
        shutil.rmtree("demo/main_output")
    prepare(work)
    before = digests(work)
    with alarm(60):
        assert main(shlex.split(command)) == code, capsys.readouterr()
    said = capsys.readouterr()
    assert words in said.out + said.err + caplog.text
    if code:
        assert [line for line in said.err.splitlines() if "error" in line] == [said.err.splitlines()[-1]]
        assert "Traceback" not in said.err
    after = digests(work)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed <= set(may_differ), changed


@pytest.mark.parametrize(
    ("line", "size", "words"),
    [
        ("create-bins -c demo.ini --num-cpus 1", 4000, "signal_to_noise_map.fits: cannot be written"),
        ("fit-spectra -c demo.ini --resolution 1 --num-cpus 1 --yes", 4000, "demo_results.h5: cannot be written"),
        (MAPS, 4000, "demo_temperature_map.fits: cannot be written"),
        ("crop-data -c demo.ini --force", 100_000, "cannot be written"),
        ("pack -c demo.ini --output p.tar", 40_000, "p.tar: cannot be written"),
        ("results export -c demo.ini --output .", 100, "spectral_fits.csv: cannot be written"),
        ("results export -c demo.ini --output . --format ecsv", 1000, ".ecsv: cannot be written"),
        ("make-job -c demo.ini --site slurm", 1000, ".sh: cannot be written"),
        ("init-cluster other", 100, "other_cluster_config.ini: cannot be written"),
    ],
)  # fmt: skip
def test_full_disk_blames_the_file_that_had_no_room(
    work: Path, monkeypatch: pytest.MonkeyPatch, on_a_full_disk: Callable, line: str, size: int, words: str
) -> None:
    monkeypatch.chdir(work)
    before = digests(work)
    done = on_a_full_disk(shlex.split(line), size)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert words in last
    assert "free disk space" in last
    after = digests(work)
    lost = [name for name in before if name not in after and "/steps/" not in name]
    assert not lost
    assert not [name for name in after if ".tmp-" in name]
    assert after[STORE] == before[STORE]
    assert after["demo.ini"] == before["demo.ini"]


@pytest.mark.parametrize("what", [STORE, "demo/acb", "demo"])
def test_store_that_is_removed_while_it_is_written(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    monkeypatch.chdir(work)
    write, calls = ResultsStore.write, []

    def remove_then_write(store: ResultsStore, *arguments: object) -> None:
        write(store, *arguments)
        if not calls:
            calls.append(away(work, what))

    monkeypatch.setattr(ResultsStore, "write", remove_then_write)
    assert main([*shlex.split(FIT.replace("--continue", "--yes"))]) == 2
    assert "was removed" in capsys.readouterr().err.splitlines()[-1]
    assert not (work / STORE).exists()


@pytest.mark.parametrize(
    ("command", "gone"),
    [
        ("create-bins -c demo.ini --num-cpus 1", "demo/acb/demo_signal_to_noise_map.fits"),
        (MAPS, "demo/main_output/demo_temperature_map.fits"),
        ("results export -c demo.ini --output out", "out/demo_best_spectral_fits.csv"),
    ],
)
def test_products_that_are_removed_while_the_command_runs(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, gone: str
) -> None:
    monkeypatch.chdir(work)
    really = os.replace

    def somebody_tidies_up(source: Path, target: Path) -> None:
        really(source, target)
        if Path(target).absolute() == work / gone:
            (work / gone).unlink()

    monkeypatch.setattr(os, "replace", somebody_tidies_up)
    assert main(shlex.split(command)) == 2
    assert f"{Path(gone).name}" in (said := capsys.readouterr().err.splitlines()[-1])
    assert "removed by something else" in said


SLEEPER = """
import sys, time
from pyxt_hpc.files import lock
from pyxt_hpc.cli import main
from pyxt_hpc.store.writer import ResultsStore
lock.this_machine = lambda: "another machine"
write = ResultsStore.write
def slowly(store, *arguments):
    write(store, *arguments)
    print("wrote", flush=True)
    time.sleep(0.2)
ResultsStore.write = slowly
sys.exit(main(sys.argv[1:]))
"""


def test_owner_that_was_suspended_and_woken(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(work)
    monkeypatch.setattr(lock_module, "SILENCE_SECONDS", 1.5)
    line = shlex.split(FIT.replace("--resolution 1", "--resolution 3"))
    (work / STORE).unlink()
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as sleeper:
        assert sleeper.stdout is not None
        for said in sleeper.stdout:
            if said == "wrote\n":
                break
        sleeper.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED)
        time.sleep(1.6)
        status = read_store(work / STORE).status
        assert (status == Status.DONE).any()
        assert (status != Status.DONE).any(), "it was done before it was stopped"
        assert main(line) == 0
        finished = digests(work)
        sleeper.send_signal(signal.SIGCONT)
        _, errors = sleeper.communicate(timeout=300)
    assert sleeper.returncode == 75, errors
    assert "this run stops; finished results are stored" in errors.splitlines()[-1]
    assert digests(work) == finished
    assert set(read_store(work / STORE).status) <= {Status.DONE, Status.BAD}


def test_damaged_record_of_a_step_has_it_done_again(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(work)
    record = work / "demo/steps/generate-responses-4001.json"
    text = record.read_text()
    for damaged in (text.replace('"format"', '"formal"'), text[: len(text) // 2], "", "[" * 5000, text + "x"):
        record.unlink()
        record.write_text(damaged)
        assert main(["generate-responses", "-c", "demo.ini"]) == 0
        assert json.loads(record.read_text())["format"]
        assert "up to date" not in capsys.readouterr().out


def test_parts_that_groups_of_ranks_left_are_taken_in_as_slices_are(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(work)
    whole = read_store(work / STORE)
    fit = "fit-spectra -c demo.ini --resolution 1 --num-cpus 1"
    (work / STORE).unlink()
    for part in (1, 2):
        assert main(shlex.split(f"{fit} --slice {part}/2")) == 0
    assert main(shlex.split(f"{fit} --continue")) == 0
    assert f"{len(whole.rows)} regions were fitted before" in capsys.readouterr().out
    assert not Layout.of(read_config("demo.ini")).all_part_results()
    found = read_store(work / STORE)
    np.testing.assert_array_equal(found.rows["kT"], whole.rows["kT"])

"""Hostile campaign: random mishaps in runs on a tiny cluster, after each of which nothing may be missing.

Usage: hostile.py [--situations N] [--seed S] [--only I] [--folder DIR]

A situation is a run that somebody or something disturbs: kills, an owner of the results that sleeps while
another takes over, files removed or damaged, full disks, streams that are closed. After it the run is resumed
as the manual says, and compared with an undisturbed one, bit by bit. Asked of every command: an exit code as
documented, no traceback, an end within a minute. What was stored when the disturbance ended must be kept.

Situation I of seed S is always the same but for the times of the machine: --only I repeats it.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pyxt_hpc.__main__ import main as run_program
from pyxt_hpc.cli import main as run_command
from pyxt_hpc.errors import PyxtError
from pyxt_hpc.simulate.demo import write_demo_input
from pyxt_hpc.store.reader import Results, read_store
from pyxt_hpc.store.rows import Status

PROGRAM = (sys.executable, "-P", "-m", "pyxt_hpc")
MPIEXEC = Path(sys.executable).with_name("mpiexec")
FIT = ("fit-spectra", "-c", "demo.ini", "--resolution", "1")
DOCUMENTED = {0, 2, 75}
PATIENCE_S = 60.0
NOT_COMPARED = ("attempts", "seconds", "crc")
"""Columns that differ from run to run."""

BUNDLE, RESULTS, SCALE_MAP, INDEX_MAP = (
    f"demo/acb/demo_{name}"
    for name in ("bundle.h5", "results.h5", "pype_scale_map.fits", "scale_map_region_index.fits")
)
INPUTS = (BUNDLE, SCALE_MAP, INDEX_MAP, "demo.ini")
COMMANDS = (
    ("status", "-c", "demo.ini"),
    ("results", "verify", "-c", "demo.ini"),
    ("results", "export", "-c", "demo.ini"),
    ("results", "merge", "-c", "demo.ini"),
    ("create-bins", "-c", "demo.ini"),
    ("estimate", "-c", "demo.ini", "--resolution", "1"),
    ("pack", "-c", "demo.ini"),
    (*FIT, "--continue"),
)


class Running:
    """A command in a session of its own: forked from here, where everything is loaded, or a program.

    Parameters
    ----------
    words
        The command without the program, or a whole line where it begins with a path.
    folder
        Where it runs.
    streams
        Redirections of a shell: then it is a program of its own, as Python finds closed streams at its start.
    most_bytes
        Limit of the sizes of files.
    """

    def __init__(self, words: Sequence[str], folder: Path, streams: str, most_bytes: int | None) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed when it is read)
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            os.setsid()
            os.chdir(folder)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number in (1, 2):
                os.dup2(self._said.fileno(), number)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if most_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
            if streams:
                os.execvp("bash", ["bash", "-c", f'exec "$@" {streams}', "bash", *PROGRAM, *words])
            if words[0].startswith("/"):
                os.execv(words[0], list(words))
            sys.argv[1:] = words
            code = run_program()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code)

    def send(self, number: int, *, group: bool = True) -> None:
        """A signal to all its processes or to the first."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def wait(self, seconds: float) -> bool:
        """Whether it ends within so many seconds."""
        deadline = time.monotonic() + seconds
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                return False
            else:
                time.sleep(0.005)
        return True

    def said(self) -> str:
        """Everything it has printed, when it has ended."""
        self._said.seek(0)
        text = self._said.read().decode(errors="replace")
        self._said.close()
        return text


def _while_python_started(said: str) -> bool:
    """Whether a traceback is that of a signal before the first line of the package: Python's own."""
    return "/pyxt_hpc/" not in said


@dataclass
class Situation:
    """A copy of the cluster, what was done to it, and what was wrong.

    Parameters
    ----------
    folder
        With ``demo.ini``.
    random
        Decides everything.
    """

    folder: Path
    random: random.Random
    story: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)
    keeps: bool = True
    """Whether rows that are stored must stay."""

    def start(self, *words: str, streams: str = "", most_bytes: int | None = None) -> Running:
        """Start a command."""
        limit = "" if most_bytes is None else f"(files of at most {most_bytes} bytes)"
        self.story.append(f"{' '.join(words[-8:])} {streams}{limit}")
        self.running.append(Running(words, self.folder, streams, most_bytes))
        return self.running[-1]

    def finish(self, process: Running, *, killed: bool = False) -> int:
        """Wait for a command and check its answer; `killed` ones may have any exit code."""
        if not process.wait(PATIENCE_S):
            process.send(signal.SIGKILL)
            process.wait(PATIENCE_S)
            self.problems.append(f"no end within {PATIENCE_S:.0f} s")
        self.running.remove(process)
        said = process.said()
        self.story.append(f"  exit code {process.code} {said.strip().splitlines()[-1:]}")
        if "Traceback" in said and not (killed and _while_python_started(said)):
            self.problems.append(f"traceback: {said[-1500:]}")
        if process.code not in DOCUMENTED and not killed:
            self.problems.append(f"exit code {process.code}: {said[-500:]}")
        assert process.code is not None
        return process.code

    def run(self, *words: str, streams: str = "", most_bytes: int | None = None) -> int:
        """Start and finish."""
        return self.finish(self.start(*words, streams=streams, most_bytes=most_bytes))

    def fit(self, *more: str, mpi: bool = False, most_bytes: int | None = None) -> Running:
        """Start the fits, by one of the ways to do them."""
        if mpi:
            return self.start(str(MPIEXEC), "-n", "3", *PROGRAM, *FIT, *more)
        return self.start(*FIT, *more, "--num-cpus", self.random.choice("12"), most_bytes=most_bytes)

    def sleep(self) -> None:
        """Some part of the time that a run takes."""
        time.sleep(self.random.uniform(0.0, self.random.choice((0.1, 0.3, 1.0))))

    def stored(self) -> Results | None:
        """The results as they are now; None if there are none that can be read."""
        try:
            return read_store(self.folder / RESULTS)
        except PyxtError:
            return None


def kills(s: Situation) -> None:
    """Processes are killed, or asked to stop, at any time."""
    mpi = MPIEXEC.exists() and s.random.random() < 0.2
    for _ in range(s.random.randint(1, 3)):
        process = s.fit("--continue", mpi=mpi)
        s.sleep()
        number = s.random.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1))
        s.story.append(f"  {number.name}")
        process.send(number, group=s.random.random() < 0.5)
        s.finish(process, killed=True)


def sleepers(s: Situation) -> None:
    """The owner of the results sleeps, as on a frozen node; another takes over; the owner wakes up."""
    first = s.fit("--continue")
    s.sleep()
    first.send(signal.SIGSTOP)
    lock = s.folder / f"{RESULTS}.lock"
    if s.random.random() < 0.7 and lock.exists():
        text = json.loads(lock.read_text())
        text["owner"]["machine"] = "another machine"  # of which only the age of its lock is known
        lock.write_text(json.dumps(text))
        os.utime(lock, (1e9, 1e9))
        s.story.append("  the lock is old")
    second = s.fit("--continue")
    s.sleep()
    first.send(signal.SIGCONT)
    s.finish(first)
    s.finish(second)


def removals(s: Situation) -> None:
    """Files vanish while a run uses them."""
    process = s.fit("--continue")
    s.sleep()
    name = s.random.choice((RESULTS, f"{RESULTS}.lock", BUNDLE, SCALE_MAP, "demo.ini", "demo/acb"))
    path = s.folder / name
    s.story.append(f"  {name} is removed")
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    s.keeps = name not in (RESULTS, "demo/acb")
    s.finish(process)


def full_disks(s: Situation) -> None:
    """No file may become larger than this, or the disk has so much room."""
    room = s.random.choice((0, 100, 5_000, 50_000, 200_000))
    if os.geteuid() == 0 and s.random.random() < 0.5:
        acb = s.folder / "demo/acb"
        aside = acb.with_name("aside")
        shutil.copytree(acb, aside)
        used = sum(-(-path.stat().st_size // 4096) * 4096 for path in aside.iterdir())
        s.story.append(f"  a disk with {room} bytes of room")
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={used + room}", "tmpfs", str(acb)], check=False
        )
        if mounted.returncode == 0:
            try:
                for path in aside.iterdir():
                    shutil.copyfile(path, acb / path.name)
                s.run(*s.random.choice(COMMANDS))
                s.finish(s.fit("--continue"))
                after = {path.name: path.read_bytes() for path in acb.iterdir()}
            finally:
                subprocess.run(["umount", "-l", str(acb)], check=False)
            for name, data in after.items():
                (acb / name).unlink(missing_ok=True)
                (acb / name).write_bytes(data)
        shutil.rmtree(aside)
        return
    s.run(*s.random.choice(COMMANDS), most_bytes=room)
    s.finish(s.fit("--continue", most_bytes=room))


def damages(s: Situation) -> None:
    """Bytes of a product change, or it becomes something else; then any command."""
    name = s.random.choice((BUNDLE, RESULTS, SCALE_MAP, INDEX_MAP, "demo.ini"))
    path = s.folder / name
    data = bytearray(path.read_bytes()) if path.exists() else bytearray(1000)
    path.unlink(missing_ok=True)
    how = s.random.choice(("bytes", "cut", "zeros", "empty", "folder", "pipe", "loop", "grown", "text"))
    s.story.append(f"  {name}: {how}")
    if how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "loop":
        path.symlink_to(path.name)
    else:
        if how == "bytes":
            for _ in range(s.random.randint(1, 20)):
                data[s.random.randrange(len(data))] ^= 1 << s.random.randrange(8)
        elif how == "zeros":
            at = s.random.randrange(len(data))
            data[at : at + 4096] = bytes(len(data[at : at + 4096]))
        elif how == "grown":
            data += s.random.randbytes(s.random.randint(1, 5000))
        elif how == "cut":
            del data[s.random.randrange(len(data)) :]
        elif how in ("empty", "text"):
            data = bytearray(b"<html>404</html>\n" * 99 * (how == "text"))
        path.write_bytes(data)
    s.keeps = name != RESULTS
    for _ in range(2):
        s.run(*s.random.choice(COMMANDS))
    if how in ("folder", "pipe", "loop"):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def streams(s: Situation) -> None:
    """Standard streams are closed, full, or their reader has left."""
    redirected = " ".join(
        s.random.choice(choices)
        for choices in (("", "<&-", "</dev/null"), ("", ">&-", ">/dev/full"), ("", "2>&-", "2>/dev/full"))
    )
    for words in (s.random.choice(COMMANDS), (*FIT, "--continue")):
        s.run(*words, streams=redirected)


def slices(s: Situation) -> None:
    """Tasks of a job array, of which some are killed, and a merge at any time."""
    tasks = [s.fit("--slice", f"{i}/2", "--continue") for i in (1, 2)]
    s.sleep()
    unlucky = s.random.choice((None, *tasks))
    if unlucky is not None:
        unlucky.send(signal.SIGKILL)
    s.run("results", "merge", "-c", "demo.ini")
    for task in tasks:
        s.finish(task, killed=task is unlucky)
    for i in (1, 2):
        s.run(*FIT, "--slice", f"{i}/2", "--continue")
    s.run("results", "merge", "-c", "demo.ini")


KINDS: tuple[Callable[[Situation], None], ...] = (
    kills, sleepers, removals, full_disks, damages, streams, slices,
)  # fmt: skip


def resume(s: Situation, pristine: Path, reference: Results) -> None:
    """Bring back what a person would, go on as the manual says, and compare."""
    for name in INPUTS:  # from the machine that made them
        path = s.folder / name
        if not path.is_file() or path.read_bytes() != (pristine / name).read_bytes():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            shutil.copyfile(pristine / name, path)
    before = s.stored()
    for _ in range(5):
        code = s.run(*FIT, "--continue")
        if code == 2 and not s.keeps:  # a store that is no longer one: its message says to begin anew
            (s.folder / RESULTS).unlink(missing_ok=True)
            before = None
        if code == 0:
            break
    else:
        s.problems.append("does not end with --continue")
        return
    after = s.stored()
    if after is None:
        s.problems.append("no results that can be read, though the exit code was 0")
        return
    if not np.array_equal(after.status, reference.status):
        s.problems.append(f"{(after.status != reference.status).sum()} regions have another status")
    for name in reference.rows.dtype.names:
        if name not in NOT_COMPARED and not np.array_equal(
            after.rows[name], reference.rows[name], equal_nan=reference.rows[name].dtype.kind == "f"
        ):
            s.problems.append(f"{name} differs from the undisturbed run")
    if before is not None and s.keeps:
        done = before.status == Status.DONE
        if not np.array_equal(before.rows["seconds"][done], after.rows["seconds"][done]):
            s.problems.append("regions that were stored were fitted again")
    for left in (*s.folder.rglob("*.lock"), *s.folder.rglob("*_part-*")):
        s.story.append(f"  left: {left.name}")


def build(folder: Path) -> Results:
    """The tiny cluster, binned, and its undisturbed fits, which are taken away again."""
    write_demo_input(folder, exposure_fraction=0.1, field_arcmin=2.0)
    config = str(folder / "demo.ini")
    for line in (["run", "--through", "crop-data"], ["create-bins"], ["fit-spectra", "--resolution", "1"]):
        if run_command([*line, "-c", config]):
            raise SystemExit(f"the tiny cluster cannot be made: {' '.join(line)}")
    reference = read_store(folder / RESULTS)
    (folder / RESULTS).unlink()
    return reference


def one(number: int, seed: int, pristine: Path, reference: Results, base: Path) -> tuple[str, Situation]:
    """A situation from beginning to end."""
    chance = random.Random(f"{seed} {number}")
    folder = base / f"situation_{number}"
    for name in (*INPUTS, "demo/sources.reg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pristine / name, folder / name)
    s = Situation(folder, chance)
    kind = chance.choice(KINDS)
    try:
        if chance.random() < 0.7:
            s.run(*FIT, "--max-regions", str(chance.randint(1, 160)))
        kind(s)
        resume(s, pristine, reference)
    finally:
        for process in s.running:
            process.send(signal.SIGCONT)
            process.send(signal.SIGKILL)
            process.wait(PATIENCE_S)
    if not s.problems:
        shutil.rmtree(folder)
    return kind.__name__, s


def main(options: argparse.Namespace) -> int:
    """Run the campaign; the exit code is 1 if anything was wrong."""
    os.environ |= {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    base = options.folder or Path(tempfile.mkdtemp(prefix="hostile-"))
    base.mkdir(parents=True, exist_ok=True)
    pristine = base / "pristine"
    pristine.mkdir(exist_ok=True)
    reference = build(pristine)
    print(
        f"seed {options.seed}, {len(reference.rows)} regions, {os.cpu_count()} cores, in {base}", flush=True
    )
    begun = time.monotonic()
    count: collections.Counter[str] = collections.Counter()
    wrong: collections.Counter[str] = collections.Counter()
    numbers = range(options.situations) if options.only is None else (options.only,)
    for number in numbers:
        start = time.monotonic()
        kind, s = one(number, options.seed, pristine, reference, base)
        print(f"{number:5} {kind:<12} {time.monotonic() - start:6.1f} s", flush=True)
        count[kind] += 1
        if s.problems or options.only is not None:
            wrong[kind] += bool(s.problems)
            print(f"situation {number} of seed {options.seed}, {kind}:", *s.story, sep="\n  ")
            print(*(f"  WRONG: {problem}" for problem in s.problems), sep="\n", flush=True)
    for kind in sorted(count):
        print(f"{kind:<12} {count[kind]:5} situations, {wrong[kind]} wrong")
    seconds = time.monotonic() - begun
    print(f"{count.total()} situations, {wrong.total()} wrong, {seconds:.0f} s")
    if not wrong and options.folder is None:
        shutil.rmtree(base)
    return int(bool(wrong))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--situations", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="I", help="this situation alone, with its story")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    sys.exit(main(parser.parse_args()))

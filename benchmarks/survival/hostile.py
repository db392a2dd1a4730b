"""Hostile campaign: random disturbances of runs on a tiny cluster; no results may be lost.

Usage: hostile.py [--situations N] [--seed S] [--only I] [--folder DIR]

In each situation, a run is disturbed: processes are killed, a process that holds the results sleeps while
another takes over, files are removed or damaged, disks are full, or standard streams are closed. Then the run
is resumed as the manual says, and its results are compared bit by bit with those of an undisturbed run. Every
command must end within a minute, with a documented exit code and without a traceback. Results that were
stored at the end of the disturbance must be kept.

Situation I of seed S is always the same, except for the speed of the machine; --only I repeats it.
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
"""Columns that differ between runs."""

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
    """A command in its own session: a fork of this process, which has all modules loaded, or a new program.

    Parameters
    ----------
    words
        The command without the program's name, or a complete command line that begins with a path.
    folder
        Working directory.
    streams
        Redirections of a shell. They need a new program, since Python notices closed streams at its start.
    most_bytes
        Largest size of files.
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
        """Send a signal to all its processes or only to the first."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; return whether it ends within a number of seconds."""
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
        """Its output, after it has ended."""
        self._said.seek(0)
        text = self._said.read().decode(errors="replace")
        self._said.close()
        return text


def _while_python_started(said: str) -> bool:
    """Whether a traceback contains no line of the package: a signal came while Python was starting."""
    return "/pyxt_hpc/" not in said


@dataclass
class Situation:
    """A copy of the cluster, with the list of disturbances and the problems found.

    Parameters
    ----------
    folder
        Folder with ``demo.ini``.
    random
        Random numbers for all decisions.
    """

    folder: Path
    random: random.Random
    story: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)
    keeps: bool = True
    """Whether stored rows must be kept."""

    def start(self, *words: str, streams: str = "", most_bytes: int | None = None) -> Running:
        """Start a command."""
        limit = "" if most_bytes is None else f"(files of at most {most_bytes} bytes)"
        self.story.append(f"{' '.join(words[-8:])} {streams}{limit}")
        self.running.append(Running(words, self.folder, streams, most_bytes))
        return self.running[-1]

    def finish(self, process: Running, *, killed: bool = False) -> int:
        """Wait for a command, and check its output and, unless it was `killed`, its exit code."""
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
        """Start a command and wait for its end."""
        return self.finish(self.start(*words, streams=streams, most_bytes=most_bytes))

    def fit(self, *more: str, mpi: bool = False, most_bytes: int | None = None) -> Running:
        """Start the fits, with MPI or with a random number of processes."""
        if mpi:
            return self.start(str(MPIEXEC), "-n", "3", *PROGRAM, *FIT, *more)
        return self.start(*FIT, *more, "--num-cpus", self.random.choice("12"), most_bytes=most_bytes)

    def sleep(self) -> None:
        """Sleep for a random part of a run's duration."""
        time.sleep(self.random.uniform(0.0, self.random.choice((0.1, 0.3, 1.0))))

    def stored(self) -> Results | None:
        """Results at this moment; None if they cannot be read."""
        try:
            return read_store(self.folder / RESULTS)
        except PyxtError:
            return None


def kills(s: Situation) -> None:
    """Kill processes, or ask them to stop, at random times."""
    mpi = MPIEXEC.exists() and s.random.random() < 0.2
    for _ in range(s.random.randint(1, 3)):
        process = s.fit("--continue", mpi=mpi)
        s.sleep()
        number = s.random.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1))
        s.story.append(f"  {number.name}")
        process.send(number, group=s.random.random() < 0.5)
        s.finish(process, killed=True)


def sleepers(s: Situation) -> None:
    """Stop the process that holds the results, as on a frozen node; let another take over; then wake it."""
    first = s.fit("--continue")
    s.sleep()
    first.send(signal.SIGSTOP)
    lock = s.folder / f"{RESULTS}.lock"
    if s.random.random() < 0.7 and lock.exists():
        text = json.loads(lock.read_text())
        text["owner"]["machine"] = "another machine"  # only the age of its lock is known here
        lock.write_text(json.dumps(text))
        os.utime(lock, (1e9, 1e9))
        s.story.append("  the lock is old")
    second = s.fit("--continue")
    s.sleep()
    first.send(signal.SIGCONT)
    s.finish(first)
    s.finish(second)


def removals(s: Situation) -> None:
    """Remove a file or folder while a run uses it."""
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
    """Limit the size of files or the space on the disk."""
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
    """Change bytes of a product, or replace it by something else; then run random commands."""
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
    """Close standard streams, or redirect them to full or empty devices."""
    redirected = " ".join(
        s.random.choice(choices)
        for choices in (("", "<&-", "</dev/null"), ("", ">&-", ">/dev/full"), ("", "2>&-", "2>/dev/full"))
    )
    for words in (s.random.choice(COMMANDS), (*FIT, "--continue")):
        s.run(*words, streams=redirected)


def slices(s: Situation) -> None:
    """Run tasks of a job array, kill one of them or none, and merge their results during the run."""
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
    """Restore the inputs, resume the run as the manual says, and compare the results with the reference."""
    for name in INPUTS:  # as a user would copy them again
        path = s.folder / name
        if not path.is_file() or path.read_bytes() != (pristine / name).read_bytes():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            shutil.copyfile(pristine / name, path)
    before = s.stored()
    for _ in range(5):
        code = s.run(*FIT, "--continue")
        if code == 2 and not s.keeps:  # the store is unreadable, and the message says to start again
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
    """Make the tiny cluster up to its bins; return the results of undisturbed fits, whose file is removed."""
    write_demo_input(folder, exposure_fraction=0.1, field_arcmin=2.0)
    config = str(folder / "demo.ini")
    for line in (["run", "--through", "crop-data"], ["create-bins"], ["fit-spectra", "--resolution", "1"]):
        if run_command([*line, "-c", config]):
            raise SystemExit(f"the tiny cluster cannot be made: {' '.join(line)}")
    reference = read_store(folder / RESULTS)
    (folder / RESULTS).unlink()
    return reference


def one(number: int, seed: int, pristine: Path, reference: Results, base: Path) -> tuple[str, Situation]:
    """Run one situation; return its kind and its record."""
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
    """Run the campaign; return 1 if a problem was found, else 0."""
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

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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pyxt_hpc.cli import main as run_command
from pyxt_hpc.demo import write_demo_input
from pyxt_hpc.errors import PyxtError
from pyxt_hpc.store import Results, Status, read_results

ROOT = Path(__file__).resolve().parents[1]
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
    ("merge-results", "-c", "demo.ini"),
    ("create-bins", "-c", "demo.ini"),
    ("estimate", "-c", "demo.ini", "--resolution", "1"),
    ("pack", "-c", "demo.ini"),
    (*FIT, "--continue"),
)


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
    running: list[subprocess.Popen[str]] = field(default_factory=list)
    keeps: bool = True
    """Whether rows that are stored must stay."""

    def start(self, *words: str, streams: str = "", most_bytes: int | None = None) -> "subprocess.Popen[str]":
        """Start a command in a group of its own, perhaps with redirected streams and a limit of file sizes."""

        def limit() -> None:
            if most_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

        line = ["bash", "-c", f'exec "$@" {streams}', "bash", *words] if streams else list(words)
        self.story.append(f"{' '.join(words[-6:])} {streams}")
        process = subprocess.Popen(
            line, cwd=self.folder, env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, preexec_fn=limit,
        )  # fmt: skip
        self.running.append(process)
        return process

    def finish(self, process: "subprocess.Popen[str]", *, killed: bool = False) -> int:
        """Wait for a command and check its answer; `killed` ones may have any exit code."""
        try:
            out, err = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            self.problems.append(f"no end within {PATIENCE_S:.0f} s")
        self.running.remove(process)
        code = process.returncode
        self.story.append(f"  exit code {code} {err.strip().splitlines()[-1:]}")
        if "Traceback" in out + err:
            self.problems.append(f"traceback: {err[-1500:]}")
        if code not in DOCUMENTED and not killed:
            self.problems.append(f"exit code {code}: {err[-500:]}")
        return code

    def run(self, *words: str, **how: object) -> int:
        """Start and finish."""
        return self.finish(self.start(*PROGRAM, *words, **how))  # type: ignore[arg-type]

    def fit(self, *more: str, mpi: bool = False) -> "subprocess.Popen[str]":
        """Start the fits, by one of the ways to do them."""
        if mpi:
            return self.start(str(MPIEXEC), "-n", "3", *PROGRAM, *FIT, *more)
        return self.start(*PROGRAM, *FIT, *more, "--num-cpus", self.random.choice("12"))

    def sleep(self) -> None:
        """Some part of the time that a run takes."""
        time.sleep(self.random.uniform(0.0, self.random.choice((0.5, 2.0, 4.0))))

    def stored(self) -> Results | None:
        """The results as they are now; None if there are none that can be read."""
        try:
            return read_results(self.folder / RESULTS)
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
        if s.random.random() < 0.5:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        s.finish(process, killed=True)


def sleepers(s: Situation) -> None:
    """The owner of the results sleeps, as on a frozen node; another takes over; the owner wakes up."""
    first = s.fit("--continue")
    s.sleep()
    os.killpg(first.pid, signal.SIGSTOP)
    lock = s.folder / f"{RESULTS}.lock"
    if s.random.random() < 0.7 and lock.exists():
        text = json.loads(lock.read_text())
        text["owner"]["machine"] = "another machine"  # of which only the age of its lock is known
        lock.write_text(json.dumps(text))
        os.utime(lock, (1e9, 1e9))
        s.story.append("  the lock is old")
    second = s.fit("--continue")
    s.sleep()
    os.killpg(first.pid, signal.SIGCONT)
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
    s.finish(s.start(*PROGRAM, *FIT, "--continue", most_bytes=room))


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
        data = {
            "cut": data[: s.random.randrange(len(data))],
            "empty": b"",
            "text": b"<html>404</html>\n" * 99,
        }.get(how, data)
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
        os.killpg(unlucky.pid, signal.SIGKILL)
    s.run("merge-results", "-c", "demo.ini")
    for task in tasks:
        s.finish(task, killed=task is unlucky)
    for i in (1, 2):
        s.run(*FIT, "--slice", f"{i}/2", "--continue")
    s.run("merge-results", "-c", "demo.ini")


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
    reference = read_results(folder / RESULTS)
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
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if not s.problems:
        shutil.rmtree(folder)
    return kind.__name__, s


def main(options: argparse.Namespace) -> int:
    """Run the campaign; the exit code is 1 if anything was wrong."""
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
        kind, s = one(number, options.seed, pristine, reference, base)
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

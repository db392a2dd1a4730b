"""Kill runs at random times, and check that no finished region is lost, fitted again or wrong.

    python -m benchmarks.survival.kill_harness --launch {processes,mpich,openmpi} --kills 400
        [--config A.ini]

The program runs and resumes a toy job or, with --config (a cluster up to create-bins), `fit-spectra`; it
sends SIGKILL to the master, a worker, the launcher or the whole job. When all regions are fitted, it compares
the store with that of an uninterrupted run, and begins a new store. It prints one line with totals per store.
"""

import argparse
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import EXIT_DONE, MissingInput
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.reader import Results, read_store
from pyxt_hpc.store.rows import Status, is_final

log = logging.getLogger(__name__)

TOY_JOB = Path(__file__).parents[2] / "tests" / "parallel" / "toy_job.py"
VICTIMS = {
    "processes": ("master", "worker", "job"),
    "mpich": ("master", "worker", "launcher", "job"),
    "openmpi": ("master", "worker", "launcher", "job"),
}
OPEN_MPI_ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "MPI4PY_MPIABI": "openmpi",
}
NOT_COMPARED = ("attempts", "seconds")
"""Columns that differ between runs."""

WORKING = "to do"
"""Words in the log that show that regions are being handed out."""

AT_WORK = 0.8
"""Fraction of the kills that come after these words; the others come at any time."""

HANG_SECONDS = 60.0


RANKS = "3"
"""Number of ranks of a run under MPI."""


def launcher(launch: str) -> list[str]:
    """Command line of the launcher, which precedes the Python command."""
    if launch == "processes":
        return []
    if launch == "mpich":
        return [str(Path(sys.executable).with_name("mpiexec")), "-n", RANKS]
    return [shutil.which("mpiexec.openmpi") or "mpiexec.openmpi", "--oversubscribe", "-n", RANKS]


class Job:
    """A job that can be run repeatedly: its command line, environment, log and store."""

    def __init__(self, launch: str, config: Path | None, folder: Path, resolution: int = 3) -> None:
        n_workers = "2" if launch == "processes" else "1"
        if config is None:
            self.store = folder / "toy.h5"
            command = [str(TOY_JOB), "fine", n_workers, str(self.store), "--regions", "2000"]
        else:
            self.store = Layout.of(read_config(config)).results
            command = ["-P", "-m", "pyxt_hpc", "fit-spectra", "-c", str(config)]
            command += ["--resolution", str(resolution)]
            command += ["--continue", *(["--num-cpus", "2"] if launch == "processes" else [])]
        self._launch, self._command = launch, command
        self.environment = os.environ | (OPEN_MPI_ENVIRONMENT if launch == "openmpi" else {})
        self._log = folder / "log.txt"
        self._runs = 0
        self._mark = uuid.uuid4().hex
        self.work_seconds = 0.5
        """Approximate time that a run spends on regions; it depends on the load of the machine."""

    def start(self) -> subprocess.Popen[bytes]:
        """Start a run in its own session."""
        self._runs += 1
        line = [*launcher(self._launch), sys.executable, *self._command]
        with self._log.open("wb") as log:
            return subprocess.Popen(
                line, env=self.environment | {"TOY_RUN": str(self._runs), "KILLED_JOB": self._mark},
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def end(self) -> None:
        """Kill remaining processes: ranks have their own groups, and may start after their launcher's end."""
        mark = f"KILLED_JOB={self._mark}".encode()
        for environment in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in environment.read_bytes().split(b"\0"):
                    os.kill(int(environment.parent.name), signal.SIGKILL)

    def until_work(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until regions are handed out or the process ends."""
        while WORKING not in self.said() and process.poll() is None:
            time.sleep(0.002)

    def said(self) -> str:
        """Output of the latest run."""
        return self._log.read_text(errors="replace")

    def results(self) -> Results | None:
        """Results in the store; None without a store."""
        try:
            return read_store(self.store)
        except MissingInput:
            return None

    def known(self) -> "Known":
        """Regions in the store; empty without a store."""
        known = Known()
        if whole := self.results():
            known.add(self.store, whole)
        return known

    def clear(self) -> None:
        """Remove the store and its lock."""
        for path in (self.store, self.store.with_name(f"{self.store.name}.lock")):
            path.unlink(missing_ok=True)


@dataclass
class Known:
    """Regions of one or several stores, by number.

    ``finished`` has the status and the row as bytes, including attempt and time; ``in_flight`` has the
    unfinished regions that were handed out.
    """

    finished: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    in_flight: set[int] = field(default_factory=set)
    regions: set[int] = field(default_factory=set)

    def add(self, path: Path, results: Results) -> None:
        """Add a store; raises AssertionError if it has another result for an already finished region."""
        numbers = results.rows["region"].tolist()
        self.regions.update(numbers)
        self.in_flight.update(results.rows["region"][results.status == Status.IN_FLIGHT].tolist())
        for at in np.flatnonzero(is_final(results.status)).tolist():
            found = int(results.status[at]), results.rows[at].tobytes()
            first = self.finished.setdefault(numbers[at], found)
            assert first == found, f"{path}: region {numbers[at]} was fitted twice"
        self.in_flight -= self.finished.keys()

    @property
    def complete(self) -> bool:
        """Whether all regions are finished."""
        return len(self.finished) > 0 and self.finished.keys() == self.regions


def family(root: int) -> dict[int, str]:
    """Roles ("launcher", "master" or "worker") of a process and its living descendants, by pid."""
    parents, lines = {}, {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                pid = int(entry.parent.name)
                parents[pid] = int(fields[1])
                lines[pid] = (entry.parent / "cmdline").read_bytes()

    def below(pid: int) -> bool:
        return pid == root or (pid in parents and below(parents[pid]))

    roles = {}
    for pid in filter(below, sorted(parents)):
        role = "launcher"
        if lines[pid].startswith(os.fsencode(sys.executable)):
            role = "worker" if parents[pid] in roles and roles[parents[pid]] != "launcher" else "master"
            with contextlib.suppress(OSError):
                environment = (Path(f"/proc/{pid}/environ")).read_bytes().split(b"\0")
                ranks = [v for v in environment if v.startswith((b"PMI_RANK=", b"OMPI_COMM_WORLD_RANK="))]
                if ranks and not ranks[0].endswith(b"=0"):
                    role = "worker"
        roles[pid] = role
    return roles


@dataclass
class Tally:
    """Numbers of runs, kills and stores of a campaign."""

    runs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    too_late: int = 0
    survived: int = 0
    stores: int = 0
    suspects: int = 0
    longest_end: float = 0.0

    def line(self) -> str:
        """One line for the report."""
        kills = ", ".join(f"{role} {n}" for role, n in sorted(self.kills.items()))
        return (
            f"{self.runs} runs, {sum(self.kills.values())} kills ({kills}), {self.survived} runs survived "
            f"theirs, {self.too_late} ended before it, {self.stores} stores completed and equal, "
            f"{self.suspects} regions computed in sandboxes, longest end {self.longest_end:.1f} s"
        )


def kill_at_random(job: Job, launch: str, seconds: float, rng: np.random.Generator, tally: Tally) -> None:
    """Start a run, and kill a random victim after a random time of up to `seconds`, or during its work."""
    process = job.start()
    tally.runs += 1
    if rng.random() < AT_WORK:
        job.until_work(process)
        time.sleep(rng.uniform(0.0, job.work_seconds))
    else:
        time.sleep(rng.uniform(0.0, seconds))
    victim = str(rng.choice(VICTIMS[launch]))
    # While a job is starting, the victim may not exist yet.
    roles = family(process.pid) if process.poll() is None else {}
    chosen = [pid for pid, role in roles.items() if victim in (role, "job")]
    if victim == "worker":
        chosen = chosen and [int(rng.choice(chosen))]
    for pid in rng.permutation(chosen).tolist():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    start = time.monotonic()
    try:
        code = process.wait(HANG_SECONDS)
        while time.monotonic() < start + HANG_SECONDS:
            left = [pid for pid in roles if Path(f"/proc/{pid}/stat").exists() and not zombie(pid)]
            if not left:
                break
            time.sleep(0.01)
        else:
            raise AssertionError(f"{len(left)} processes outlived their killed {victim}")
    except subprocess.TimeoutExpired:
        raise AssertionError(f"a job whose {victim} was killed did not end: {job.said()}") from None
    finally:
        job.end()
    if not chosen:
        tally.too_late += 1
        job.work_seconds *= 0.8
        return
    job.work_seconds *= 1.05
    tally.kills[victim] += 1
    tally.survived += code == EXIT_DONE
    tally.longest_end = max(tally.longest_end, time.monotonic() - start)


def zombie(pid: int) -> bool:
    """Whether a process is dead: it has gone, or its parent has not waited for it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def complete(job: Job, tally: Tally) -> Results:
    """Run to the end without kills; return the results."""
    tally.runs += 1
    process = job.start()
    code = process.wait(600)
    assert code == EXIT_DONE, f"a resumed run ended with {code}: {job.said()}"
    results = job.results()
    assert results is not None
    return results


def sweep_shared_memory() -> None:
    """Remove shared memory that killed ranks of MPICH have left, except segments in use."""
    mapped = b""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            mapped += maps.read_bytes()
    for segment in Path("/dev/shm").glob("mpich_shm_*"):
        with contextlib.suppress(OSError):
            if time.time() - segment.stat().st_mtime > 60 and segment.name.encode() not in mapped:
                segment.unlink()


def assert_kept(before: Known, after: Known) -> None:
    """Assert that finished regions are unchanged, byte for byte, including attempt and time."""
    lost = before.finished.keys() - after.finished.keys()
    assert not lost, f"{len(lost)} finished regions were lost"
    again = [number for number, found in before.finished.items() if after.finished[number] != found]
    assert not again, f"{len(again)} finished regions were fitted again"


def assert_equal(results: Results, expected: Results) -> None:
    """Assert that results agree byte for byte, except in columns that differ between runs."""
    np.testing.assert_array_equal(results.status, expected.status)
    assert not results.messages, results.messages
    for name in results.rows.dtype.names or ():
        if name not in NOT_COMPARED:
            assert results.rows[name].tobytes() == expected.rows[name].tobytes(), f"{name} differs"


def campaign(
    launch: str,
    kills: int,
    folder: Path,
    *,
    config: Path | None = None,
    resolution: int = 3,
    seed: int = 1,
) -> Tally:
    """Kill runs until the number of kills is reached; compare every completed store with the reference.

    Raises
    ------
    AssertionError
        At the first loss, repetition, difference, hang or orphan.
    """
    rng = np.random.default_rng(seed)
    job, tally = Job(launch, config, folder, resolution), Tally()

    if config:
        job.clear()
        complete(job, Tally())  # compiles kernels
    job.clear()
    start = time.monotonic()
    expected = complete(job, Tally())
    seconds = time.monotonic() - start
    log.info("%s: a run takes %.1f s", launch, seconds)
    while sum(tally.kills.values()) < kills:
        job.clear()
        before = Known()
        for _ in range(int(rng.integers(1, 7))):
            kill_at_random(job, launch, seconds, rng, tally)
            after = job.known()
            assert_kept(before, after)
            before = after
            if before.complete:
                break
        tally.suspects += len(before.in_flight)
        results = complete(job, tally)
        assert_kept(before, job.known())
        assert_equal(results, expected)
        tally.stores += 1
        sweep_shared_memory()
        log.info("%s: %s", launch, tally.line())
    job.clear()
    return tally


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Kill runs at random instants.")
    parser.add_argument("--launch", choices=VICTIMS, required=True)
    parser.add_argument("--kills", type=int, default=400)
    parser.add_argument("--config", type=Path, help="a real cluster instead of the toy job")
    parser.add_argument("--resolution", type=int, default=3, help="of the real cluster")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    with tempfile.TemporaryDirectory() as made:
        campaign(
            options.launch,
            options.kills,
            Path(made),
            config=options.config,
            resolution=options.resolution,
            seed=options.seed,
        )

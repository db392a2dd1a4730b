"""A real SLURM on this machine, which runs while job scripts are tested."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

VARIABLE = "PYXT_SLURM_TESTS"
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
# Requeued jobs wait for cred_expire; without cgroups and accounting it runs in a container.
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=6
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
PlugStackConfig={folder}/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=5,batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
KillWait=5
InactiveLimit=0
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 NodeHostname={host} CPUs=4 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES DefaultTime=10 MaxTime=INFINITE State=UP
"""


def _install() -> None:
    if all(map(shutil.which, PROGRAMS)):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # starts no service
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        try:
            done = subprocess.run(
                ["apt-get", "--quiet", *command],
                env=environment,
                capture_output=True,
                timeout=300,
                check=False,
            )
        except (FileNotFoundError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"no SLURM here, and it cannot be installed: {error}")
    if done.returncode:
        pytest.skip(f"no SLURM here, and apt-get cannot install it: {done.stderr.decode()[-300:]}")


def _wait_for(what: str, true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} does not answer"
        time.sleep(0.2)


def _two_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture(scope="session")
def slurm() -> Iterator[dict[str, str]]:
    """Start a SLURM of one node with 4 CPUs; returns the environment that its commands need."""
    if not os.environ.get(VARIABLE):
        pytest.skip(f"takes minutes: set {VARIABLE}=1 to test with a real SLURM")
    if os.geteuid():
        pytest.skip("only root can start a SLURM")
    _install()
    # Not pytest's folder: its path is too long for a socket and closed to munged.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    for name, mode in {"munge": 0o711, "state": 0o700, "spool": 0o755}.items():
        (folder / name).mkdir()
        (folder / name).chmod(mode)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    controller, daemon = _two_ports()
    conf = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    conf.write_text(CONFIGURATION.format(folder=folder, host=host, controller=controller, daemon=daemon))
    (folder / "plugstack.conf").touch()
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> None:
        with (folder / "daemons.log").open("ab") as log:
            started.append(
                subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                 start_new_session=True)
            )  # fmt: skip

    def says(word: str, *command: str) -> bool:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode == 0 and word in done.stdout

    try:
        sock = f"--socket={folder}/munge/socket"
        start(
            shutil.which("munged") or "", "--foreground", "--force", f"--key-file={key}", sock,
            f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munge/seed",
        )  # fmt: skip
        _wait_for("munged", lambda: says("MUNGE", "munge", sock, "-n"))
        start(shutil.which("slurmctld") or "", "-D", "-f", str(conf))
        _wait_for("slurmctld", lambda: says("is UP", "scontrol", "ping"))
        start(shutil.which("slurmd") or "", "-D", "-f", str(conf))
        _wait_for("slurmd", lambda: says("idle", "sinfo", "-h", "-o", "%T"))
        yield {"SLURM_CONF": str(conf)}
        subprocess.run(["scancel", "--user=root"], env=environment, check=False)
        _wait_for("the end of all jobs", lambda: not says(" ", "squeue", "-h", "-o", "%A "), 60)
    finally:
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(timeout=200)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)

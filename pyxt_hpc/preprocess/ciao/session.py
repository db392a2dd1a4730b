"""A process of CIAO's own Python that calls tools one after the other, for one thread of this process."""

import json
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyxt_hpc.errors import CiaoError
from pyxt_hpc.files.process_identity import is_group_running, private_folder
from pyxt_hpc.files.quoting import shown
from pyxt_hpc.preprocess.ciao.find import INSTALL, Ciao

_BRIDGE = Path(__file__).with_name("bridge.py")
_START_LIMIT_S = 300.0  # imports from a parallel file system can be slow
_STEP_S = 0.01
_DYING_STEPS = 100  # longest wait for the end of a killed process, in steps
_MAX_ANSWER = 1 << 24  # bytes
_MAX_SCREEN = 1 << 16


@dataclass(frozen=True)
class CallResult:
    """Result of a call.

    Attributes
    ----------
    screen
        The end of the tool's output.
    outputs
        The tool's parameters after the call.
    seconds
        Duration.
    error
        The tool's error message; empty if it succeeded.
    kind
        ``parameter``: the tool or a parameter is unknown; ``tool``: the tool failed; ``import``: a module is
        missing; ``time``: it took too long; ``died``: the process ended; empty: it succeeded.
    code
        Exit code of the tool, or of the process that died; negative if a signal ended it.
    """

    screen: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    kind: str = ""
    code: int | None = None


class Session:
    """Process group that calls tools; made by `ciao_session`."""

    def __init__(self, ciao: Ciao, folder: Path) -> None:
        self._ciao = ciao
        self._folder = folder
        self._noise = folder / "start.log"
        self._lock = threading.Lock()
        self.has_ended = False
        """Whether it takes no more calls."""
        self._rest = b""
        reader, writer = os.pipe()
        self._answers = reader
        try:
            with self._noise.open("wb") as noise:
                self._process = subprocess.Popen(
                    [str(ciao.python), str(_BRIDGE), str(writer)],
                    stdin=subprocess.PIPE,
                    stdout=noise,
                    stderr=subprocess.STDOUT,
                    pass_fds=(writer,),
                    env=ciao.environment_of(folder),
                    cwd=folder,
                    start_new_session=True,  # a process group that can be killed, and gets no Ctrl-C
                )
        except OSError as error:
            os.close(reader)
            raise CiaoError(f"{ciao.python}: cannot be started ({shown(error)})") from None
        finally:
            os.close(writer)
        self._is_ready = False

    def call(
        self, tool: str, parameters: Mapping[str, Any], folder: Path, log: Path, limit_s: float
    ) -> CallResult:
        """Call a tool in a folder, and wait for it; its output is appended to a log.

        If the process died or took too long, the session has ended.

        Raises CiaoError if CIAO's Python does not find CIAO's modules.
        """
        self._wait_until_ready()
        start = log.stat().st_size if log.exists() else 0
        began = time.monotonic()
        request = {"tool": tool, "parameters": dict(parameters), "folder": str(folder), "log": str(log)}
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # the process has ended, which is noticed below
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        answer = self._receive(began + limit_s)
        if answer is not None:
            return CallResult(**answer)
        seconds = time.monotonic() - began
        if seconds >= limit_s:
            self.end()
            return CallResult(screen=_tail(log, start), seconds=seconds, error="time limit", kind="time")
        code = self._exit_code()
        self.end()
        return CallResult(
            screen=_tail(log, start), seconds=seconds, error="its process ended", kind="died", code=code
        )

    def _wait_until_ready(self) -> None:
        if self._is_ready or self.has_ended:
            return
        greeting = self._receive(time.monotonic() + _START_LIMIT_S)
        if greeting is None or greeting["error"]:
            python = self._ciao.python
            reason = greeting["error"] if greeting else self._last_noise() or "it ends, or does not answer"
            raise CiaoError(
                f"{python}: cannot run CIAO's tools ({shown(reason, 300)}); check CIAO by "
                f"`{python} -c 'import ciao_contrib.runtool'`, or install it again: {INSTALL}"
            )
        self._is_ready = True

    def forget(self) -> None:
        """Remove the parameter files of the tools, which keep, for example, bad pixels of an observation."""
        for folder in (self._folder / "param", self._folder / "work"):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)

    def end(self) -> None:
        """Kill the process and its children; any thread may call this, more than once."""
        with self._lock:
            if self.has_ended:
                return
            self.has_ended = True
            # Kill the group before waiting for its leader: until then, no other group can get its number.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._wait_for_group()
            with suppress(OSError):
                assert self._process.stdin is not None
                self._process.stdin.close()

    def _wait_for_group(self) -> None:
        """Wait until no killed process can write into folders that will be removed."""
        for _ in range(_DYING_STEPS):
            if not is_group_running(self._process.pid):
                return
            time.sleep(_STEP_S)

    def close(self) -> None:
        """End the session from the thread that calls tools, and close its pipe."""
        self.end()
        if self._answers >= 0:
            os.close(self._answers)
            self._answers = -1

    def _receive(self, deadline: float) -> dict[str, Any] | None:
        """The next answer; None at the deadline, or if there will be none."""
        while b"\n" not in self._rest and len(self._rest) < _MAX_ANSWER:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                return None
            data = os.read(self._answers, 1 << 16)
            if not data:
                return None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            return dict(json.loads(line))
        except ValueError:
            return None

    def _exit_code(self) -> int | None:
        """Exit code of the process if it has ended by itself, without reaping it; else None."""
        for _ in range(_DYING_STEPS):
            try:
                status = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            except ChildProcessError:
                break  # `end` was called meanwhile
            if status is not None:
                return status.si_status if status.si_code == os.CLD_EXITED else -status.si_status
            time.sleep(_STEP_S)
        return None

    def _last_noise(self) -> str:
        return _tail(self._noise).strip().rpartition("\n")[2]


@contextmanager
def ciao_session(ciao: Ciao, scratch: Path) -> Iterator[Session]:
    """A running session, whose parameter and work folders are in `scratch` while it runs.

    Raises CiaoError if CIAO's Python cannot be started.
    """
    with private_folder(scratch, "ciao") as folder:
        session = Session(ciao, folder)
        try:
            yield session
        finally:
            session.close()


def _tail(path: Path, start: int = 0) -> str:
    """The end of a file, not before byte `start`."""
    try:
        with path.open("rb") as file:
            file.seek(max(start, file.seek(0, os.SEEK_END) - _MAX_SCREEN))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""

"""Execution of plans: several observations at a time; each call is a step that is done once and checked."""

import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import count, groupby
from pathlib import Path
from typing import TypeVar

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ConfigError, DamagedFile, Interrupted, MissingInput
from pyxt_hpc.files.fits import check_whole
from pyxt_hpc.files.process_identity import private_folder
from pyxt_hpc.files.quoting import MAX_WORD, shown
from pyxt_hpc.files.system_errors import system_errors
from pyxt_hpc.files.writing import note_product, sync_file, sync_folder
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.progress import Progress
from pyxt_hpc.parallel.signals import stop_signals
from pyxt_hpc.preprocess.ciao.failures import failure, last_words, wrong_product
from pyxt_hpc.preprocess.ciao.find import Ciao
from pyxt_hpc.preprocess.ciao.plans.call import Call
from pyxt_hpc.preprocess.ciao.script import HEADER, as_text, call_lines, in_folder
from pyxt_hpc.preprocess.ciao.session import Session, ciao_session
from pyxt_hpc.provenance import fingerprint
from pyxt_hpc.steps import Facts, Step, StepResult, run_if_outdated

log = logging.getLogger(__name__)

_POLL_S = 0.2  # longest delay before a signal is noticed
_NOT_FITS = frozenset((".reg", ".lis", ".txt", ".dat", ".log", ".pdf", ".png", ".ps", ".html"))
_READING = threading.Lock()
_MAX_FACT = 1 << 16  # characters of a tool's output that a record keeps
# CIAO splits stacks and virtual files at these characters; * and ? are patterns; specextract splits filters
# at =.
_UNFIT = frozenset(" \t\n,;'\"()[]*?=")

T = TypeVar("T")
Plans = Generator[Sequence[Call], tuple[StepResult, ...], T]
"""Plans of a stage, one after the other; the generator returns what the stage needs."""


@dataclass(frozen=True)
class CallLimits:
    """Limits of the execution of a plan.

    Parameters
    ----------
    workers
        Number of observations processed at the same time.
    downloads
        Number of downloads at the same time.
    time_limit_s
        Time after which a call is ended [s].
    """

    workers: int
    downloads: int = 1
    time_limit_s: float = 43200.0

    @classmethod
    def of(cls, config: ClusterConfig) -> "CallLimits":
        """Limits of a configuration."""
        workers = config.num_cpus if config.parallel_processing else 1
        return cls(
            workers or len(os.sched_getaffinity(0)), config.ciao_downloads, 3600.0 * config.ciao_time_limit_h
        )


def run_plan(
    stage: str, plan: Sequence[Call], layout: Layout, ciao: Ciao, limits: CallLimits, *, force: bool = False
) -> tuple[StepResult, ...]:
    """Do the outdated calls of a plan; return the result of each call in the order of the plan.

    Calls of one observation run one after the other, those of different observations at the same time. A call
    for all observations runs alone, after all calls before it. If a call of one observation fails, the others
    are finished before the error is raised.

    Facts of a call: ``files`` that it made, the end of its output (``screen``), the tool's parameters
    afterwards (``outputs``), ``seconds``, and the versions (``ciao``).

    Raises CiaoError or DiskFull, with the tool's last message, if a tool fails or does not make its products;
    MissingInput if a file that a call reads does not exist; ConfigError if a path has characters that CIAO
    cannot take; Interrupted at a signal: finished products are kept.
    """
    _check_paths(plan)
    return _Run(stage, layout, ciao, limits, force).do(plan)


def steps_of(stage: str, plan: Sequence[Call], layout: Layout) -> list[Step]:
    """Step of each call of a plan, which knows its record and whether it is up to date."""
    return [_step(stage, call, layout) for call in plan]


def _step(stage: str, call: Call, layout: Layout) -> Step:
    # Without the path of the cluster's folder, which may be moved.
    texts = {
        name: as_text(value).replace(str(layout.cluster_dir), "{cluster}")
        for name, value in call.parameters.items()
    }
    folder = os.path.relpath(call.folder, layout.cluster_dir)
    products = fingerprint({"folder": folder, "writes": call.writes})[:8]
    return Step(
        name=f"{stage}: {call.tool}{call.obsid and f' of ObsID {call.obsid}'}",
        record=layout.call_record(stage, call.obsid, f"{call.tool}-{products}"),
        inputs=call.reads,
        settings={"tool": call.tool, "parameters": texts},
        outputs=(),
        folder=call.folder,
        patterns=call.writes,
    )


class _Run:
    """One execution of a plan, with its sessions."""

    def __init__(self, stage: str, layout: Layout, ciao: Ciao, limits: CallLimits, force: bool) -> None:
        self._stage, self._layout, self._ciao, self._limits, self._force = stage, layout, ciao, limits, force
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._downloading = threading.Semaphore(limits.downloads)
        self._idle: list[Session] = []
        self._sessions: list[Session] = []

    def do(self, plan: Sequence[Call]) -> tuple[StepResult, ...]:
        results: dict[int, StepResult] = {}
        with (
            stop_signals() as received,
            Progress(self._stage, "call", len(plan), says_end=False) as progress,
            ExitStack() as self._open,
            ThreadPoolExecutor(max(1, self._limits.workers)) as pool,
        ):
            try:
                for groups in _waves(plan, steps_of(self._stage, plan, self._layout)):
                    done = partial(self._do_group, results, progress)
                    self._wait([pool.submit(done, group) for group in groups], received)
            except BaseException:
                self._end()  # before the pool waits for its threads
                raise
        return tuple(results[number] for number in range(len(plan)))

    def _wait(self, futures: "list[Future[None]]", received: list[int]) -> None:
        """Wait for all futures; then raise Interrupted after a signal, else the first error."""
        pending = set(futures)
        while pending:
            _, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            if received and not self._stop.is_set():
                self._end()
                pending -= {future for future in pending if future.cancel()}
        if received:
            raise Interrupted(
                f"{self._stage}: interrupted; run it again to continue with the tools that were running"
            )
        errors = [error for future in futures if (error := future.exception())]
        for other in errors[1:]:
            log.error("%s", other)
        if errors:
            raise errors[0]

    def _end(self) -> None:
        self._stop.set()
        with self._lock:
            for session in self._sessions:
                session.end()

    def _do_group(self, results: dict[int, StepResult], progress: Progress, group: "list[_Numbered]") -> None:
        with self._lent_session() as session:
            for one in group:
                make = partial(self._make, one.call, one.step.facts(), session)
                # A call that only prints, such as a query of the archive, is never up to date.
                force = self._force or not one.call.writes
                results[one.number] = run_if_outdated(one.step, make, force=force)
                with self._lock:
                    progress.add(1)

    @contextmanager
    def _lent_session(self) -> Iterator[Callable[[], Session]]:
        """Function that returns the session of one observation; its first call takes the session."""
        session = cache(self._take)
        try:
            yield session
        finally:
            if session.cache_info().currsize and not session().has_ended:
                session().forget()
                with self._lock:
                    self._idle.append(session())

    def _take(self) -> Session:
        """An idle session, or a new one."""
        with self._lock:
            if self._stop.is_set():
                raise Interrupted(f"{self._stage}: interrupted")
            if self._idle:
                return self._idle.pop()
            session = self._open.enter_context(ciao_session(self._ciao, self._layout.cluster_dir))
            self._sessions.append(session)
            return session

    def _make(self, call: Call, before: Facts, session: Callable[[], Session]) -> Facts:
        absent = [str(path) for path in call.reads if not path.exists()]
        if absent:
            raise MissingInput(f"{call.tool} needs {', '.join(absent)}: not found; do the stage before again")
        with ExitStack() as stack, system_errors(call.folder):
            if call.tool == "download_chandra_obsid":
                stack.enter_context(self._downloading)
            call.folder.mkdir(parents=True, exist_ok=True)
            if call.in_place:
                folder = call.folder
            else:
                folder = stack.enter_context(private_folder(call.folder.parent, call.folder.name))
            answer_facts = self._ask(call, folder, session)
            files = _check(call, folder, self._log(call))
            names = [str(path.relative_to(folder)) for path in files]
            if not call.in_place:
                _move(files, folder, call.folder)
                # Products of an earlier run under other names would seem to be products of this one.
                for stale in set(before.get("files", ())) - set(names):
                    (call.folder / stale).unlink(missing_ok=True)
        return {"files": names, **answer_facts}

    def _ask(self, call: Call, folder: Path, session: Callable[[], Session]) -> Facts:
        parameters = {key: in_folder(value, str(folder)) for key, value in call.parameters.items()}
        path = self._log(call)
        self._write_down(call, path)
        answer = session().call(call.tool, parameters, folder, path, self._limits.time_limit_s)
        if self._stop.is_set():
            raise Interrupted(f"{self._stage}: interrupted")
        with suppress(OSError), path.open("a", encoding="utf-8") as file:
            failed = f", failed: {last_words(answer)}" if answer.kind else ""
            file.write(f"== {answer.seconds:.1f} s{failed}\n")
        if answer.kind:
            raise failure(call, answer, path, self._ciao)
        return {
            "screen": answer.screen[-_MAX_FACT:],
            "outputs": {key: _final(value, folder, call.folder) for key, value in answer.outputs.items()},
            "seconds": answer.seconds,
            "ciao": str(self._ciao),
        }

    def _log(self, call: Call) -> Path:
        return self._layout.call_script(self._stage, call.obsid).with_suffix(".log")

    def _write_down(self, call: Call, path: Path) -> None:
        """Append a call to the script of its observation, and begin its part of the log."""
        script = path.with_suffix(".sh")
        now = time.strftime("%Y-%m-%dT%H:%M:%S")
        with system_errors(script):
            path.parent.mkdir(parents=True, exist_ok=True)
            begin = [] if script.exists() else [HEADER]
            with script.open("a", encoding="utf-8") as file:
                file.write("\n".join([*begin, "", f"# {now}, {self._ciao}", *call_lines(call)]) + "\n")
            with path.open("a", encoding="utf-8") as file:
                file.write(f"== {now} {call.tool}\n")


@dataclass(frozen=True)
class _Numbered:
    number: int
    call: Call
    step: Step


def _waves(plan: Sequence[Call], its_steps: Sequence[Step]) -> "Iterator[list[list[_Numbered]]]":
    """Waves of groups: groups of a wave may run at the same time, calls of a group run in order."""
    steps = map(_Numbered, count(), plan, its_steps)
    for is_of_one, wave in groupby(steps, key=lambda one: bool(one.call.obsid)):
        if not is_of_one:
            yield from ([[one]] for one in wave)
            continue
        groups: dict[str, list[_Numbered]] = {}
        for one in wave:
            groups.setdefault(one.call.obsid, []).append(one)
        yield list(groups.values())


def _check_paths(plan: Sequence[Call]) -> None:
    for path in (path for call in plan for path in (call.folder, *call.reads)):
        if unfit := sorted(_UNFIT & set(str(path))):
            raise ConfigError(
                f"{shown(path, MAX_WORD)}: CIAO cannot take {' '.join(map(repr, unfit))} in a path: move "
                "the data directory, or rename the file"
            )


def _check(call: Call, folder: Path, said: Path) -> list[Path]:
    """Files that the call must write; each is read to check that it is complete."""
    found: dict[Path, None] = {}
    for pattern in call.writes:
        files = sorted(path for path in folder.glob(pattern) if path.is_file())
        if not files:
            raise wrong_product(call, f"made no {pattern}", said)
        found.update(dict.fromkeys(files))
    for path in found:
        if path.stat().st_size == 0:
            raise wrong_product(call, f"{path.name} is empty", said)
        if path.suffix in _NOT_FITS:
            continue
        try:
            with _READING:  # filters of warnings are common to all threads
                check_whole(path, "product", "it is incomplete")
        except DamagedFile as error:
            raise wrong_product(call, str(error).replace(f"{folder}/", ""), said) from None
    return list(found)


def _move(files: Sequence[Path], folder: Path, to: Path) -> None:
    """Move products to their final folder after they have been synced to the disk."""
    for path in files:
        target = to / path.relative_to(folder)
        if path.suffix == ".lis" and str(folder) in (text := path.read_text(encoding="utf-8")):
            path.write_text(text.replace(str(folder), str(to)), encoding="utf-8")
        with suppress(PermissionError):  # copies of write-protected files of the archive
            sync_file(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        note_product(target)
    for parent in {(to / path.relative_to(folder)).parent for path in files}:
        sync_folder(parent)


def _final(value: object, folder: Path, to: Path) -> object:
    return value.replace(str(folder), str(to)) if isinstance(value, str) else value

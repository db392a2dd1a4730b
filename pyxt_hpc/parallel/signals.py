"""Signals that end a run early without loss: the master waits for chunks in flight, workers ignore them."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""A batch system sends one of them before the time limit; Ctrl-C sends the first."""

_WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)

_is_rank = False
"""Whether this process has joined others in MPI."""


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect signals that ask for an early end; outside the main thread, the list stays empty.

    After this context, a rank ignores SIGUSR1 and SIGUSR2: job scripts repeat the warning of the time limit,
    and its default would end the master while it stores results or waits in MPI for the other ranks, which
    would then wait for it until the limit.

    At the second SIGINT, KeyboardInterrupt is raised at whatever line the program is.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if received.count(signal.SIGINT) > 1:
            raise KeyboardInterrupt

    if not _in_main_thread():
        yield received
        return
    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if _is_rank and number in _WARNINGS else handler)


def ignore_stop_signals() -> None:
    """Ignore stop signals: launchers and terminals signal every process, but only the master shall stop."""
    if _in_main_thread():
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def end_when_interrupted() -> None:
    """Let SIGINT end this process at once, without Python's handler.

    While MPI starts, it waits for all ranks and Python's handlers do not run. Not every launcher ends the
    other ranks when one has ended; therefore each rank, which gets the signal itself, must end by itself.
    """
    _replace_handler(signal.default_int_handler, signal.SIG_DFL)


def raise_when_interrupted() -> None:
    """Let SIGINT raise KeyboardInterrupt again after `end_when_interrupted`."""
    _replace_handler(signal.SIG_DFL, signal.default_int_handler)


def take_back_stop_signals() -> None:
    """Restore Python's handlers of the stop signals: MPICH silently replaces that of SIGUSR1.

    A warning of the time limit that comes before the work begins may then end the process, but is not lost.
    """
    global _is_rank
    _is_rank = True
    if _in_main_thread():
        for number in STOP_SIGNALS:
            signal.signal(number, signal.getsignal(number))


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, as SIGINT does, and note both for `was_interrupted`."""
    former = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    ours = {n: old for n, old in former.items() if _in_main_thread() and signal.getsignal(n) == old}
    _interrupts.clear()
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


def was_interrupted() -> bool:
    """Whether one of them came: a library that was being loaded may have made another error of it."""
    return bool(_interrupts)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _interrupts.append(number)
    raise KeyboardInterrupt


_interrupts: list[int] = []


def _replace_handler(former: object, new: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Replace the handler of SIGINT only if it is `former`: a background process may ignore SIGINT."""
    if _in_main_thread() and signal.getsignal(signal.SIGINT) == former:
        signal.signal(signal.SIGINT, new)


def _in_main_thread() -> bool:
    """Whether this is the main thread, the only one in which Python can set handlers."""
    return threading.current_thread() is threading.main_thread()

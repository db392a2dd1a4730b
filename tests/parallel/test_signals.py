"""Signals are collected where Python allows it; elsewhere nothing fails."""

import os
import signal
import threading

from pyxt_hpc.parallel.signals import ignore_stop_signals, stop_signals


def test_collected_in_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals() as received:
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_has_none() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        ignore_stop_signals()
        with stop_signals() as received:
            seen.append(received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [[]]
    assert signal.getsignal(signal.SIGTERM) == before

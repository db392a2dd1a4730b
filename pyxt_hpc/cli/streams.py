"""Standard streams that may be closed, full or disconnected, without effect on the work.

A closed stream has two dangers: Python replaces it by None, and the next opened file gets its number, so that
the output of libraries would go into that file.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import IO, Any

OnError = Callable[[OSError], None]


def guard_streams() -> None:
    """Make the streams of this process safe to use; a closed standard input counts as empty."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # This opens the lowest free number, which is this one, since lower streams are already open.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _guarded(sys.stdout, 1, _report_lost_output)
    sys.stderr = _guarded(sys.stderr, 2, lambda error: None)


def _guarded(stream: IO[str] | None, number: int, on_error: OnError) -> IO[str]:
    if stream is not None:
        try:
            if stream.fileno() != number:
                return stream  # the caller's own stream
        except (OSError, ValueError, AttributeError):
            return stream
        if isinstance(getattr(stream, "buffer", None), _Lenient):
            return stream
        with contextlib.suppress(OSError):
            stream.flush()
    encoding = getattr(stream, "encoding", None) or "utf-8"
    # Escapes replace letters that the terminal lacks, and file names that are not valid text.
    lenient: Any = _Lenient(number, on_error)
    return io.TextIOWrapper(lenient, encoding=encoding, errors="backslashreplace", line_buffering=True)


class _Lenient(io.BufferedIOBase):
    """Unbuffered writer to a file descriptor, which stays open; after a failure, all output is dropped.

    `on_error` is called once with the error, except for a broken pipe.
    """

    def __init__(self, number: int, on_error: OnError) -> None:
        self._number, self._on_error = number, on_error
        self._lost = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: bytes) -> int:  # type: ignore[override]
        left = memoryview(data)
        try:
            while left and not self._lost:
                left = left[os.write(self._number, left) :]
        except BlockingIOError:
            # The stream is non-blocking: wait until it accepts the rest.
            os.set_blocking(self._number, True)
            return len(data) - len(left) + self.write(bytes(left))
        except OSError as error:
            self._lost = True
            if not isinstance(error, BrokenPipeError):
                self._on_error(error)
        return len(data)


def _report_lost_output(error: OSError) -> None:
    print(
        f"pyxt-hpc: standard output cannot be written ({error.strerror}): continuing without it",
        file=sys.stderr,
    )

"""Program that CIAO's own Python runs: it reads calls of tools as lines of JSON, and writes their results.

That interpreter gets its path, so the program imports nothing of this package, needs only the standard
library and ``ciao_contrib``, and runs in Python 3.8. Requests come on standard input. Answers go to a
separate file descriptor, whose number is the argument, because tools and start-up hooks print to standard
output.

A request is ``{"tool", "parameters", "folder", "log"}``: `folder` becomes the current folder, and the output
of the tool is appended to `log`. The answer is ``{"screen", "outputs", "seconds", "error", "kind", "code"}``.
The first answer, without a request, says whether tools can be called, or why not.

If standard input ends while a tool runs, the caller is gone, and the whole process group ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import sys
import threading
import time
from typing import Any

# Python puts the folder of a program first in its path, where modules beside this one would hide those of
# CIAO.
_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [path for path in sys.path if os.path.abspath(path) != _HERE]

_MAX_SCREEN = 1 << 16  # bytes of the end of a tool's output that are sent back; the log has all of it
# Output of tools that end without an error although they left something out, and the error to report.
_LEFT_OUT = {
    "download_chandra_obsid": (r"SKIPPING ", "files were skipped"),
    "merge_obs": (r"Skipped (one|\d+) observation", "observations were left out"),
}


class _Screen:
    """Appends the output of this process and its children to a file, and keeps it as `text`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._before: list[int] = []
        self.text = ""

    def __enter__(self) -> _Screen:
        _flush()
        self._file = open(self._path, "ab")
        self._start = self._file.seek(0, os.SEEK_END)
        for number in (1, 2):
            self._before.append(os.dup(number))
            os.dup2(self._file.fileno(), number)
        return self

    def __exit__(self, *error: object) -> None:
        _flush()
        for number, before in zip((1, 2), self._before):
            os.dup2(before, number)
            os.close(before)
        self._file.close()
        with open(self._path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._start, end - _MAX_SCREEN))
            self.text = file.read().decode("utf-8", "replace")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the disk is full, which the tools' own files show
            stream.flush()


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(text.rstrip() + "\n")
        sys.stdout.flush()


def _run_tool(name: str, parameters: dict) -> dict:
    """Call a tool with these parameters, and defaults for all others; return its parameters afterwards."""
    from ciao_contrib import runtool

    tool = runtool.make_tool(name)
    tool.punlearn()
    try:
        text = tool(**parameters)
    except OSError as error:
        error.code = _exit_code(tool)  # type: ignore[attr-defined]
        raise
    if text:
        _say(str(text))
    return {name: getattr(tool, name) for name in getattr(tool, "_parnames", ())}


def _exit_code(tool: Any) -> int | None:
    try:
        return tool.get_runtime_details().get("code")
    except AttributeError:
        return None


def _set_verbosity(verbose: int) -> None:
    """Set the verbosity of CIAO's download module, which below 3 does not say why a file is not available."""
    with contextlib.suppress(ImportError):
        from ciao_contrib.logger_wrapper import initialize_logger

        initialize_logger("download", verbose=verbose)


def _download(obsids: list[str], filetypes: list[str] | tuple = ()) -> dict:
    """Download observations into the current folder, except files that it has already."""
    from ciao_contrib.cda.data import download_chandra_obsids

    wanted = [int(obsid) for obsid in obsids]
    mirror = os.environ.get("CDA_MIRROR_SITE") or None
    _set_verbosity(3)
    try:
        found = download_chandra_obsids(wanted, filetypes=list(filetypes) or None, mirror=mirror)
    finally:
        _set_verbosity(0)
    absent = [obsid for obsid, there in zip(obsids, found) if not there]
    if absent:
        raise OSError("ObsID {} could not be downloaded".format(", ".join(absent)))
    return {}


def _kind(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "import"
    if isinstance(error, UnicodeError):
        return "tool"  # its output is not text
    if isinstance(error, (TypeError, ValueError, AttributeError)):
        return "parameter"  # runtool raises these for an unknown tool, parameter or value
    return "tool"


def _answer(request: dict) -> dict:
    answer: dict[str, Any] = {"outputs": {}, "error": "", "kind": "", "code": None}
    began = time.time()
    screen = _Screen(request["log"])
    try:
        with screen:
            try:
                os.chdir(request["folder"])
                parameters = request["parameters"]
                if request["tool"] == "download_chandra_obsid":
                    answer["outputs"] = _download(**parameters)
                else:
                    answer["outputs"] = _run_tool(request["tool"], parameters)
            except Exception as error:  # the caller must learn of any error
                answer.update(error=str(error) or repr(error), kind=_kind(error))
                answer["code"] = getattr(error, "code", None)
                _say(answer["error"])
    except OSError as error:
        answer.update(error=answer["error"] or str(error), kind=answer["kind"] or "tool")
    pattern, what = _LEFT_OUT.get(request["tool"], ("", ""))
    if not answer["error"] and pattern and re.search(pattern, screen.text):
        answer.update(error=what, kind="tool")
    answer.update(screen=screen.text, seconds=time.time() - began)
    return answer


def _greeting() -> dict:
    try:
        from ciao_contrib import runtool
    except Exception as error:  # libraries of a broken installation may raise anything
        return {"error": f"{type(error).__name__}: {error}", "python": sys.version.split()[0]}
    return {"error": "", "python": sys.version.split()[0], "runtool": getattr(runtool, "__file__", "")}


def _take_input() -> int:
    """Descriptor of the present standard input; replace standard input by an empty one for children."""
    own = os.dup(0)  # children do not inherit it
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return own


def main() -> None:
    """Answer requests until there are no more."""
    answers = int(sys.argv[1])
    os.set_inheritable(answers, False)
    requests = os.fdopen(_take_input(), "r", encoding="utf-8")
    waiting: queue.Queue = queue.Queue()
    at_work = threading.Event()

    def receive() -> None:
        for line in requests:
            at_work.set()
            waiting.put(json.loads(line))
        if at_work.is_set():
            os.killpg(os.getpgrp(), signal.SIGKILL)
        waiting.put(None)

    def send(answer: dict) -> None:
        data = (json.dumps(answer, default=str) + "\n").encode("ascii")
        while data:
            data = data[os.write(answers, data) :]

    send(_greeting())
    threading.Thread(target=receive, daemon=True).start()
    while True:
        request = waiting.get()
        if request is None:
            return
        answer = _answer(request)
        at_work.clear()
        send(answer)


if __name__ == "__main__":
    main()

"""The log of calls, and the faults that a test orders.

``faults.json`` in the double's folder: a list of ``{"tool", "kind", "match"}``; a fault stands until the test
takes it away, for calls in whose parameters the expression ``match`` is found.

========== =================================================================
fail       says so, or what ``said`` tells it to say, and ends with 1
nothing    ends well, and has written nothing
truncated  ends well, and the files are half
empty      ends well, and the files have no byte
warning    says something with WARNING, and does all
hang       sleeps until it is ended
killed     is ended by SIGKILL, as the system does when memory is short
crash      ends the process that called it, as a segmentation fault there
disk       cannot write more than a KiB to a file: a full disk
prompt     asks for a value, and waits for an answer on standard input
unknown    of a download: the archive does not have it
========== =================================================================
"""

import contextlib
import errno
import json
import os
import re
import resource
import signal
import sys
import time

from ciao_double import state

_LIMIT = 1024
_said = "it was told to fail"


def begin(tool, parameters):
    """Log a call and tell what fault is ordered for it, if any."""
    global _said
    fault = None
    with contextlib.suppress(FileNotFoundError):
        for order in json.loads((state.ROOT / "faults.json").read_text()):
            if order["tool"] == tool and re.search(order.get("match", ""), json.dumps(parameters)):
                fault, _said = order["kind"], order.get("said", _said)
    _log({"tool": tool, "parameters": parameters, "fault": fault, "pid": os.getpid()})
    return fault


def _log(entry):
    line = json.dumps(entry, default=str) + "\n"
    log = os.open(state.ROOT / "calls.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(log, line.encode())
    os.close(log)


def before(fault, caller):
    """What goes wrong before anything is done; ``caller``: the process that runtool is in."""
    if fault == "fail":
        print(f"# the double (CIAO 4.17.0): ERROR {_said}")
        sys.exit(1)
    if fault == "nothing":
        sys.exit(0)
    if fault == "warning":
        print("# the double (CIAO 4.17.0): WARNING: it was told to warn")
    if fault == "hang":
        _log({"hanging": os.getpid()})
        time.sleep(3600)
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "crash":
        os.kill(caller, signal.SIGSEGV)
    if fault == "prompt":
        print("Event file to be read (): ", end="", flush=True)
        if not sys.stdin.read(1):
            print("\n# the double (CIAO 4.17.0): ERROR end of file on standard input")
            sys.exit(1)


def after(fault, written):
    """What goes wrong with files that are done."""
    for path in written:
        if fault == "truncated":
            # within a block: FITS does not tell a file that ends between two of its parts from a whole one
            os.truncate(path, path.stat().st_size // 2 // 2880 * 2880 + 1440)
        if fault == "empty":
            os.truncate(path, 0)


@contextlib.contextmanager
def full_disk(fault):
    """Let writes fail as on a full disk if that is the fault."""
    if fault != "disk":
        yield
        return
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT, hard))
    try:
        yield
    except Exception as error:  # the package's own writers have their own
        if "too large" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

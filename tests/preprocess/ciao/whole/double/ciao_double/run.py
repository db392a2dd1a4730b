"""A tool in a process of its own, as runtool starts one: what it printed, how it ended, what it changed."""

import json
import os
import sys
import traceback
from types import SimpleNamespace

from ciao_double import faults, memory, state
from ciao_double.tools import tool_of
from pyxt_hpc.errors import PyxtError

_WITHOUT_WORK = ("fail", "nothing", "hang", "killed", "crash", "prompt")


def run_tool(tool, settings, given):
    """Exit code, screen text, and changed parameters, of a tool."""
    fault = faults.begin(tool, {name: settings[name] for name in settings if name in given})
    if fault not in _WITHOUT_WORK and not memory.has(tool, settings):
        tool_of(tool)  # is imported once in the caller, so that each call starts quickly
    read, write = os.pipe()
    result_read, result_write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        os.dup2(write, 2)
        # as a program that is started has nothing else
        os.closerange(3, result_write)
        os.closerange(result_write + 1, 1024)
        sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)
        os._exit(_in_child(tool, settings, fault, result_write))
    os.close(write)
    os.close(result_write)
    with os.fdopen(read, "rb") as screen, os.fdopen(result_read, "rb") as result:
        text = screen.read().decode()
        changed = json.loads(result.read() or b"{}")
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), text, changed


def _in_child(tool, settings, fault, result):
    code = 1
    try:
        faults.before(fault, os.getppid())
        with faults.full_disk(fault):
            if memory.has(tool, settings):
                written, changed = memory.replay(tool, settings)
            else:
                written, changed = tool_of(tool)(SimpleNamespace(**settings))
                memory.keep(tool, settings, written, changed)
        faults.after(fault, written)
        os.write(result, json.dumps(changed).encode())
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except (OSError, ValueError, PyxtError) as error:
        print(f"# {tool} (CIAO 4.17.0): ERROR {error}")
    except BaseException:
        (state.ROOT / "defect.txt").write_text(traceback.format_exc())
        traceback.print_exc()
    sys.stdout.flush()
    return code

"""Calls of CIAO tools as lines of a shell script, for a shell in which CIAO is activated."""

import shlex
from collections.abc import Iterable, Iterator

from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call, Value

_MAX_VALUE = 1023
"""Longest value of a parameter file [characters]."""

HEADER = """\
#!/bin/bash
# Calls of CIAO tools by pyxt-hpc, for a shell in which CIAO is activated.
[[ $- == *i* ]] || set -e  # a shell that somebody types in stays open"""


def script_lines(plan: Iterable[Call]) -> Iterator[str]:
    """Lines of the script of a plan."""
    yield HEADER
    for call in plan:
        yield ""
        yield from call_lines(call)


def call_lines(call: Call) -> Iterator[str]:
    """Lines of a shell for one call, which writes directly to `Call.folder`."""
    folder = str(call.folder)
    yield f"# {call.tool}{f' of ObsID {call.obsid}' if call.obsid else ''}"
    yield shlex.join(["mkdir", "-p", folder])
    yield shlex.join(["cd", folder])
    if call.tool == "download_chandra_obsid":
        values = [call.parameters.get(name) for name in ("obsids", "filetypes")]
        yield shlex.join([call.tool, *(as_text(value) for value in values if value)])
        return
    words = [call.tool]
    for name, value in call.parameters.items():
        value = in_folder(value, folder)
        text = as_text(value)
        if len(text) > _MAX_VALUE and isinstance(value, tuple):
            stack = f"{folder}/{call.tool}_{name}.lis"
            yield f"printf '%s\\n' {shlex.join(value)} > {shlex.quote(stack)}"
            text = f"@-{stack}"
        words.append(f"{name}={shlex.quote(text)}")
    yield shlex.join(["punlearn", call.tool])
    yield " ".join([*words, "mode=h"])


def in_folder(value: Value, folder: str) -> Value:
    """A value in which a folder replaces `OUT`."""
    if isinstance(value, str):
        return value.replace(OUT, folder)
    if isinstance(value, tuple):
        return tuple(text.replace(OUT, folder) for text in value)
    return value


def as_text(value: Value) -> str:
    """A value in the syntax of parameter files."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(value) if isinstance(value, tuple) else str(value)

"""Steps that are done once: each leaves a record of what it was made from, so only changes are redone.

A record is a small JSON file: the settings of the step, what its input files were like, what it made, and
the facts that its summary needs. A file is known by its content, so that saving or copying it unchanged
starts nothing; that of a large one is only read if its size is the same and its time of change is not.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyxt_hpc.errors import DamagedFile, PyxtError
from pyxt_hpc.files.writing import check_regular, was_made, write_text
from pyxt_hpc.provenance import fingerprint, software

_SMALL = 2**20  # bytes
_FORMAT = 3

Facts = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A piece of work from files to files.

    Parameters
    ----------
    name
        For people, such as ``remove-sources of ObsID 4001``.
    record
        Where its record is kept.
    inputs
        Files that it reads. One that may be absent is named too: when it appears, the step is done again.
    settings
        Whatever else decides what it makes; JSON can hold it.
    outputs
        Files that it makes.
    folder, patterns
        What else it makes there: for each pattern at least one file that matches.
    """

    name: str
    record: Path
    inputs: tuple[Path, ...]
    settings: Mapping[str, Any]
    outputs: tuple[Path, ...]
    folder: Path = Path()
    patterns: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of settings and of the content of the inputs as they are now."""
        contents = {name: state.rpartition(", ")[2] for name, state in self._inputs().items()}
        return fingerprint({"settings": self._settings(), "inputs": contents, "format": _FORMAT})

    def outdated(self) -> str | None:
        """Why it has to be done (again); None if what it made is there and still holds."""
        record = read_record(self.record)
        if record is None:
            return "not done yet"
        outputs = self.outputs
        if self.patterns:
            outputs += tuple(self.record.parent.parent / path for path in record["outputs"])
        gone = [path for path in outputs if not path.is_file()]
        if gone:
            return f"{gone[0].name} is missing"
        changed = [
            str(path)
            for path in outputs
            if path.stat().st_size != record["outputs"].get(self._relative(path))
        ]
        if changed:
            return f"{changed[0]} was changed by something else"
        settings, inputs = self._settings(), {self._relative(path): path for path in self.inputs}
        before = record["settings"]
        different = {key for key in settings.keys() | before.keys() if settings.get(key) != before.get(key)}
        if not different:
            before = record["inputs"]
            different = inputs.keys() ^ before.keys()
            different |= {
                name for name in inputs.keys() & before.keys() if not _is_as(before[name], inputs[name])
            }
        return f"{', '.join(sorted(different))} changed" if different else None

    def facts(self) -> Facts:
        """What `run_if_outdated` recorded."""
        return (read_record(self.record) or {}).get("facts", {})

    def absent(self) -> list[Path]:
        """What it should have made and is not there, files and patterns."""
        files = [path for path in self.outputs if not path.is_file()]
        return files + [self.folder / one for one in self.patterns if not any(self.folder.glob(one))]

    def _made(self) -> list[Path]:
        found = {path for pattern in self.patterns for path in self.folder.glob(pattern)}
        return [*self.outputs, *sorted(found - set(self.outputs))]

    def _relative(self, path: Path) -> str:
        """A file's name as the record has it: a cluster's folder may be moved."""
        root = self.record.parent.parent
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    def _settings(self) -> dict[str, Any]:
        # as they come back from the record: tuples as lists
        return dict(json.loads(json.dumps(dict(self.settings))))

    def _inputs(self) -> dict[str, str]:
        return {self._relative(path): _file_state(path) for path in self.inputs}


def read_record(path: Path) -> dict[str, Any] | None:
    """What was recorded of a step: ``software``, ``settings``, ``inputs``, ``outputs``, ``facts`` and more.

    None if there is no record, or it is damaged or of another version.
    """
    if not check_regular(path):
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        complete = {"format", "settings", "inputs", "outputs", "facts"} <= record.keys()
        whole = complete and record.pop("digest", None) == fingerprint(record)
        return record if whole and record["format"] == _FORMAT else None
    except (OSError, ValueError, AttributeError, RecursionError):
        return None  # absent or damaged: the step is done again


def changed_since(record: Path, suffix: str = "") -> list[Path]:
    """Inputs of a step, with names that end so, that are there and not as its record says they were.

    None without a record. What is gone may have been put away by somebody who has what was made from it.
    """
    before = (read_record(record) or {"inputs": {}})["inputs"]
    there = ((record.parent.parent / name, state) for name, state in before.items() if name.endswith(suffix))
    return [path for path, state in there if path.exists() and not _is_as(state, path)]


@dataclass(frozen=True)
class StepResult:
    """What became of a step: its facts; and why it was done, None if it was up to date."""

    facts: Facts
    reason: str | None


def run_if_outdated(step: Step, make: Callable[[], Facts], *, force: bool = False) -> StepResult:
    """Do a step unless it is up to date; with `force` in any case.

    `make` does it, and returns the facts to keep in the record (JSON can hold them).

    Raises
    ------
    PyxtError
        What ``make`` raises; the record is gone then, so the step will be done again.
    """
    reason = step.outdated() or ("asked for" if force else None)
    if reason is None:
        return StepResult(step.facts(), None)
    record = {
        "format": _FORMAT,
        "step": step.name,
        "software": software(),
        "fingerprint": step.fingerprint,
        "settings": step._settings(),
        # as they were before: what changes meanwhile makes the step outdated
        "inputs": step._inputs(),
    }
    step.record.unlink(missing_ok=True)
    facts = make()
    absent = step.absent()
    if absent and was_made(absent[0]):
        raise DamagedFile(
            f"{absent[0]}: was removed by something else while {step.name} was at work: run it again"
        )
    if absent:
        raise PyxtError(f"{step.name}: {absent[0]} was not made: please report this defect")
    record["outputs"] = {step._relative(path): path.stat().st_size for path in step._made()}
    record["facts"] = facts
    record["digest"] = fingerprint(json.loads(json.dumps(record)))
    write_text(step.record, json.dumps(record, indent=1) + "\n")
    return StepResult(facts, reason)


@dataclass(frozen=True)
class StageResult:
    """What became of a stage's steps: whether any was done, facts of each observation and of the whole."""

    made: bool
    observations: dict[str, Facts]
    facts: Facts

    @classmethod
    def of(cls, observations: Mapping[str, StepResult], whole: StepResult | None = None) -> "StageResult":
        """Of the steps of each ObsID, and of the one that joins them."""
        steps = [*observations.values(), *([whole] if whole else [])]
        return cls(
            made=any(step.reason is not None for step in steps),
            observations={obsid: step.facts for obsid, step in observations.items()},
            facts=whole.facts if whole else {},
        )


_ABSENT = "absent"
_NO_FILE = "not a file"


def _file_state(path: Path) -> str:
    """What a file is known by: its content; of a large one also when it was changed, to be quick."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return _NO_FILE  # to open a pipe would be to wait for a writer
        content = _content(path)
    except OSError:
        return _ABSENT
    return content if status.st_size < _SMALL else f"{_time_state(status)}, {content}"


def _is_as(before: str, path: Path) -> bool:
    """Whether a file is as it was; the content of a large one is only read if nothing else tells."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size < _SMALL:
            return before == _file_state(path)
        if before.startswith(_time_state(status)):
            return True
        size, _, content = before.partition(" bytes, ")
        return size == str(status.st_size) and content.endswith(f", {_content(path)}")
    except OSError:
        return before == _ABSENT


def _time_state(status: os.stat_result) -> str:
    return f"{status.st_size} bytes, changed at {status.st_mtime_ns} ns"


def _content(path: Path) -> str:
    status = path.stat()
    if status.st_size < _SMALL:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return _digest(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _digest(path: Path, *state: int) -> str:
    """SHA-256 of a large file; while its state is the same it is not read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

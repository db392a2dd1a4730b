"""Steps of the analysis, each with a record of its inputs; a step runs again only if these have changed.

A record is a small JSON file with the settings of the step, the states of its input files, its outputs, and
the facts for its summary. A file is identified by its content, so that saving or copying it without a change
causes no work. The content of a large file is read only if its size is the same, but not its time of change.
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
    """A step that reads files and writes files.

    Parameters
    ----------
    name
        Name for messages, such as ``remove-sources of ObsID 4001``.
    record
        File of its record.
    inputs
        Files that it reads, also those that may be absent: if one of these appears, the step runs again. The
        same file without ``.gz`` is added to a compressed one, since it would be read instead.
    settings
        All other settings that affect its outputs, as JSON values.
    outputs
        Files that it writes.
    folder, patterns
        Glob patterns of further outputs in a folder; at least one file must match each pattern.
    """

    name: str
    record: Path
    inputs: tuple[Path, ...]
    settings: Mapping[str, Any]
    outputs: tuple[Path, ...]
    folder: Path = Path()
    patterns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        plain = [path.with_suffix("") for path in self.inputs if path.suffix == ".gz"]
        object.__setattr__(self, "inputs", tuple(dict.fromkeys([*self.inputs, *plain])))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the settings and the present content of the inputs."""
        contents = {name: state.rpartition(", ")[2] for name, state in self._inputs().items()}
        return fingerprint({"settings": self._settings(), "inputs": contents, "format": _FORMAT})

    def outdated(self) -> str | None:
        """Why the step must run (again); None if its outputs exist and are up to date."""
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
        """Facts in the record; empty without a record."""
        return (read_record(self.record) or {}).get("facts", {})

    def absent(self) -> list[Path]:
        """Outputs and patterns for which there is no file."""
        files = [path for path in self.outputs if not path.is_file()]
        return files + [self.folder / one for one in self.patterns if not any(self.folder.glob(one))]

    def _made(self) -> list[Path]:
        found = {path for pattern in self.patterns for path in self.folder.glob(pattern)}
        return [*self.outputs, *sorted(found - set(self.outputs))]

    def _relative(self, path: Path) -> str:
        """Path of a file relative to the cluster's folder, since users may move this folder."""
        root = self.record.parent.parent
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    def _settings(self) -> dict[str, Any]:
        # As read from a record, where tuples are lists.
        return dict(json.loads(json.dumps(dict(self.settings))))

    def _inputs(self) -> dict[str, str]:
        return {self._relative(path): _file_state(path) for path in self.inputs}


def read_record(path: Path) -> dict[str, Any] | None:
    """Read the record of a step: ``software``, ``settings``, ``inputs``, ``outputs``, ``facts`` and more.

    Returns None if the record is absent, damaged or of another version.
    """
    if not check_regular(path):
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        complete = {"format", "settings", "inputs", "outputs", "facts"} <= record.keys()
        whole = complete and record.pop("digest", None) == fingerprint(record)
        return record if whole and record["format"] == _FORMAT else None
    except (OSError, ValueError, AttributeError, RecursionError):
        return None  # absent or damaged: the step runs again


def changed_since(record: Path, suffix: str = "") -> list[Path]:
    """Inputs of a step, with names ending in ``suffix``, that exist and have changed since its record.

    The list is empty without a record. Absent files do not count, since users may remove inputs afterwards.
    """
    before = (read_record(record) or {"inputs": {}})["inputs"]
    there = ((record.parent.parent / name, state) for name, state in before.items() if name.endswith(suffix))
    return [path for path, state in there if path.exists() and not _is_as(state, path)]


@dataclass(frozen=True)
class StepResult:
    """Result of a step: its facts, and the reason why it ran (None if it was up to date)."""

    facts: Facts
    reason: str | None


def run_if_outdated(step: Step, make: Callable[[], Facts], *, force: bool = False) -> StepResult:
    """Run a step unless it is up to date, or in any case with `force`.

    `make` writes the outputs and returns the facts for the record, as JSON values. If it raises an error,
    the record has been removed, so that the step will run again.

    Raises
    ------
    DamagedFile, PyxtError
        If an output was removed while the step ran, or was not written.
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
        # The states before the step runs: a change while it runs makes it outdated.
        "inputs": step._inputs(),
    }
    step.record.unlink(missing_ok=True)
    facts = make()
    absent = step.absent()
    if absent and was_made(absent[0]):
        raise DamagedFile(
            f"{absent[0]}: was removed by something else while {step.name} was running: run it again"
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
    """Result of a stage: whether any step ran, and the facts of each observation and of all together."""

    made: bool
    observations: dict[str, Facts]
    facts: Facts

    @classmethod
    def of(cls, observations: Mapping[str, StepResult], whole: StepResult | None = None) -> "StageResult":
        """Combine the results of the steps of each ObsID, and of the step for all together."""
        steps = [*observations.values(), *([whole] if whole else [])]
        return cls(
            made=any(step.reason is not None for step in steps),
            observations={obsid: step.facts for obsid, step in observations.items()},
            facts=whole.facts if whole else {},
        )


_ABSENT = "absent"
_NO_FILE = "not a file"


def _file_state(path: Path) -> str:
    """State of a file: hash of its content; for a large file also size and time of change, to save time."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return _NO_FILE  # Opening a pipe would wait for a writer.
        content = _content(path)
    except OSError:
        return _ABSENT
    return content if status.st_size < _SMALL else f"{_time_state(status)}, {content}"


def _is_as(before: str, path: Path) -> bool:
    """Whether a file has the state ``before``; the content of a large file is read only if necessary."""
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
    """SHA-256 of a large file, which is not read again while its state is the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

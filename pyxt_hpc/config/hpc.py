"""What a batch system is asked for: the keys of ``[hpc]``, each checked."""

import difflib
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted, shown

SECTION = "hpc"
SCHEDULERS = ("slurm", "pbs")
REQUEUES = ("auto", "qrerun")
LAUNCHERS = ("srun", "mpirun", "mpiexec", "mpiexec.hydra", "mpiexec.openmpi", "orterun", "aprun")

# Directives are comments to the shell, and every batch system has its own idea of quotes in them: what
# goes there is made of characters that mean nothing to any of them.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@+/-]*")
_DIRECTIVE = re.compile(r"-[A-Za-z0-9_.:@+/=,\[\]*()&|% -]*")


def _text(text: str) -> str:
    """Anything of one line: it is quoted for the shell."""
    if not text.isprintable():
        raise ValueError(f"is {quoted(text)}, expected one line without control characters")
    return text


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError(f"is {quoted(text)}, expected letters, digits and any of _ . : @ + / - (no blanks)")
    return text


def _mail(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.+-]+@[A-Za-z0-9.-]+", text):
        raise ValueError(f"is {quoted(text)}, expected an address such as you@example.org")
    return text


def choice(*options: str) -> Callable[[str], str]:
    """Parser of one of some words; it raises ValueError."""

    def parse(text: str) -> str:
        if text not in options:
            raise ValueError(f"is {quoted(text)}, expected one of {', '.join(options)}")
        return text

    return parse


def _count(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"is {quoted(text)}, expected a whole number from {low} to {high}")
        return int(text)

    return parse


def _time(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,4}):([0-5][0-9]):([0-5][0-9])", text)
    seconds = (
        sum(int(part) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True))
        if match
        else 0
    )
    if not seconds:
        raise ValueError(f"is {quoted(text)}, expected HH:MM:SS above 0, e.g. 04:00:00")
    return seconds


def _memory(text: str) -> str:
    if not re.fullmatch(r"0|[1-9][0-9]{0,6}[MG]", text):
        raise ValueError(f"is {quoted(text)}, expected M or G bytes a node, e.g. 64G, or 0 for all (SLURM)")
    return text


def _words(text: str) -> tuple[str, ...]:
    return tuple(_word(part) for part in re.split(r"[,\s]+", text) if part)


def _launcher(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(_text(text)))
    except ValueError as error:
        raise ValueError(f"is {quoted(text)}: {error}") from None
    if not words or words[0].rpartition("/")[2] not in LAUNCHERS:
        raise ValueError(f"is {quoted(text)}, expected one of {', '.join(LAUNCHERS)} with its options")
    return words


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _directives(text: str) -> tuple[str, ...]:
    for line in _lines(text):
        if not _DIRECTIVE.fullmatch(line):
            raise ValueError(
                f"holds {quoted(line)}, expected an option such as --qos=regular or -l place=scatter"
            )
    return tuple(_lines(text))


def _account_directive(text: str) -> str:
    if not re.fullmatch(r"-[A-Za-z_= -]+", text):
        raise ValueError(f"is {quoted(text)}, expected what comes before the account, e.g. -W group_list=")
    return text


def _chunk(text: str) -> str:
    if not re.fullmatch(r"[a-z_]+=[A-Za-z0-9_.-]+(:[a-z_]+=[A-Za-z0-9_.-]+)*", text):
        raise ValueError(f"is {quoted(text)}, expected resources of a node as in -l select, e.g. model=bro")
    return text


def _environment(text: str) -> tuple[tuple[str, str], ...]:
    found = []
    for line in _lines(text):
        name, equals, value = line.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name.strip()):
            raise ValueError(f"holds {quoted(line)}, expected lines NAME=VALUE")
        found.append((name.strip(), _text(value.strip())))
    return tuple(found)


def _key(parse: Callable[[str], Any], comment: str, default: Any = MISSING) -> Any:
    metadata = {"parse": parse, "comment": comment}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True)
class BatchSettings:
    """A request to a batch system; attributes are named as the keys, times are in seconds."""

    scheduler: str = _key(choice(*SCHEDULERS), "slurm or pbs")
    nodes: int = _key(_count(1, 100_000), "nodes of a job", 1)
    ranks_per_node: int = _key(_count(1, 4096), "MPI ranks on each, or processes of a task of an array", 1)
    time: int = _key(_time, "HH:MM:SS, of one attempt", 3600)
    partition: str = _key(_word, "SLURM's partition or PBS's queue", "")
    account: str = _key(_word, "who pays", "")
    account_directive: str = _key(_account_directive, "what comes before the account, if unusual", "")
    memory: str = _key(_memory, "M or G bytes a node", "")
    chunk: str = _key(_chunk, "more resources of a node (PBS), e.g. model=bro", "")
    directives: tuple[str, ...] = _key(_directives, "more options of the batch system, one a line", ())
    modules: tuple[str, ...] = _key(_words, "to be loaded, comma-separated", ())
    venv: str = _key(_text, "virtual environment that has pyxt-hpc; default: the one in use", "")
    environment: tuple[tuple[str, str], ...] = _key(_environment, "lines NAME=VALUE", ())
    launcher: tuple[str, ...] = _key(_launcher, "srun or mpirun, with options", ("mpirun",))
    warning: int = _key(_count(10, 86_400), "seconds before the limit when the work is to stop", 120)
    max_requeues: int = _key(_count(0, 1000), "how often a job that is not finished runs again", 20)
    requeue: str = _key(
        choice(*REQUEUES),
        "qrerun where the centre lets users do it (PBS): a job that runs again keeps its id",
        "auto",
    )
    mail: str = _key(_mail, "address told about the end of the job", "")

    @classmethod
    def of(cls, texts: Mapping[str, str], where: str) -> "BatchSettings":
        """Settings from the texts of the keys.

        Raises
        ------
        ConfigError
            If one is unknown, impossible or missing; all are named together, with `where`.
        """
        problems = problems_of(texts)
        if not texts.get("scheduler"):
            problems.append("no batch system: give --scheduler slurm or pbs, or --site NAME")
        if problems:
            raise ConfigError(f"{where}: {'; '.join(problems)}")
        return cls(**{name: _PARSE[name](text) for name, text in texts.items() if text})

    @property
    def ranks(self) -> int:
        """MPI ranks in all."""
        return self.nodes * self.ranks_per_node


_PARSE: dict[str, Callable[[str], Any]] = {f.name: f.metadata["parse"] for f in fields(BatchSettings)}


def problems_of(texts: Mapping[str, str]) -> list[str]:
    """What is wrong with the texts of keys of ``[hpc]``; keys without a text are passed over."""
    problems = []
    for name, text in texts.items():
        if name not in _PARSE:
            close = difflib.get_close_matches(name, _PARSE, n=1)
            known = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(_PARSE))}"
            problems.append(f"[{SECTION}] {shown(name)} is unknown ({known})")
        elif text:
            try:
                _PARSE[name](text)
            except ValueError as error:
                problems.append(f"[{SECTION}] {name} {error}")
    return problems

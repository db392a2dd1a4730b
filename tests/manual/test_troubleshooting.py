"""Every message of an error is found in the manual: whatever raises one is looked up there."""

import ast
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

import pyxt_hpc
from pyxt_hpc import errors
from pyxt_hpc.cli import main
from pyxt_hpc.cli.commands.manual import entries_for, entries_on_messages, is_in

PACKAGE = Path(pyxt_hpc.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
UNKNOWN = "0"
"""In the place of what is only known when the error is raised."""

MADE_BY: dict[str, tuple[tuple[str, str], ...]] = {
    "bundle/file.py": (("bundle/file.py", "_disagreement"),),
    "cluster/arguments.py": (),  # those of the parsers of keys
    "config/cluster.py": (("config/cluster.py", "__post_init__"),),
    "config/hpc.py": (("config/hpc.py", "of"),),
    "fit/inputs.py": (("fit/inputs.py", "_wrong_radii"),),
    "files/lock.py": (("files/lock.py", "_refusal"),),
    "files/system_errors.py": (("files/system_errors.py", "no_room"),),
    "jobs/sites.py": (("jobs/systems/pbs.py", "problems"), ("jobs/systems/slurm.py", "problems")),
    "maps/fitted.py": (("maps/fitted.py", "_without_fits"),),
    "parallel/master/ledger.py": (),  # the words of the error in a worker
    "parallel/shared.py": (("parallel/shared.py", "shared_memory_problem"),),
    "preprocess/ciao/failures.py": (
        *(
            ("preprocess/ciao/failures.py", name)
            for name in (
                "_NO_CALIBRATION",
                "_INSTALL_BLANK_SKY",
                "_INSTALL_CALDB",
                "_CAUSES",
                "_WAYS_ON",
                "_cause",
                "wrong_product",
            )
        ),
    ),
    "preprocess/crop_data.py": (),  # those of the observations that are left out
    "sample/table.py": (("sample/table.py", "_columns"), ("sample/table.py", "_row")),
    "stages/transfer.py": (),  # those of `without_key`
    "store/writer.py": (("store/writer.py", "_difference"),),
}
"""Whose texts become the messages of sites, by their file, that have no words of their own."""


OF_THE_SYSTEM = [
    ("exit_codes.py", name) for name in ("_MEMORY", "_REMEDY", "ending_of", "_of_system", "_of_library")
]
"""What is said of errors that are not ours."""


@dataclass(frozen=True)
class Site:
    """Where an error is raised, and the texts that its message may have."""

    place: str
    messages: tuple[str, ...]

    @cached_property
    def says_nothing(self) -> bool:
        """Whether all words come from elsewhere."""
        return all(
            len(re.findall("[A-Za-z]{2,}", message)) < 3 and not entries_for(message)
            for message in self.messages
        )


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def error_names() -> set[str]:
    """Of `PyxtError` and everything below it."""
    names = {
        name
        for name, one in vars(errors).items()
        if isinstance(one, type) and issubclass(one, errors.PyxtError)
    }
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef) and names & {ast.unparse(base) for base in node.bases}:
                names.add(node.name)
    return names


@cache
def constants_of(tree: ast.Module) -> dict[str, str]:
    """Texts of a module that have a name."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            (text, *others) = texts_of(node.value, found)
            if text != UNKNOWN and not others:
                found[node.targets[0].id] = text
    return found


def texts_of(node: ast.expr, named: dict[str, str]) -> list[str]:
    """What a text may be, with `UNKNOWN` for its values."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        texts = [""]
        for part in node.values:
            own = texts_of(part.value if isinstance(part, ast.FormattedValue) else part, named)
            texts = [text + one for text in texts for one in own]
        return texts
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [a + b for a in texts_of(node.left, named) for b in texts_of(node.right, named)]
    if isinstance(node, ast.IfExp):
        return [*texts_of(node.body, named), *texts_of(node.orelse, named)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        return texts_of(node.func.value, named)  # as of ``"...".rstrip()``
    if isinstance(node, ast.Name):
        return [named.get(node.id, UNKNOWN)]
    return [UNKNOWN]


@cache
def sites() -> list[Site]:
    """Of the whole package; what is wrong with a value stands after its section and key."""
    ours, found = error_names(), []
    for path in FILES:
        tree = tree_of(path)
        of_values = path.relative_to(PACKAGE) == Path("config/parsers.py")
        names, before = ({"ValueError"}, "[section] key ") if of_values else (ours, "")
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            function = ast.unparse(node.func)
            name = function.removesuffix(".of_several")
            if name.rpartition(".")[2] in names:
                texts = texts_of(node.args[0], constants_of(tree))
                after = f": {UNKNOWN}" if name != function else ""
                place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                found.append(Site(place, tuple(f"{before}{text}{after}" for text in texts)))
    return found


def texts_in(owner: ast.AST, named: dict[str, str]) -> list[str]:
    """Every text in a piece of code, without docstrings."""
    inner = {id(part) for node in ast.walk(owner) if isinstance(node, ast.JoinedStr) for part in node.values}
    documented = ast.Module | ast.FunctionDef | ast.ClassDef
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(owner)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [
        text
        for node in ast.walk(owner)
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in inner | docstrings
        for text in texts_of(node, named)
    ]


def sentences_within(path: Path, name: str) -> list[str]:
    """Texts of several words in a function or a constant of a module, but for patterns."""
    tree = tree_of(path)
    (owner,) = (
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.FunctionDef) and node.name == name)
        or (isinstance(node, ast.Assign | ast.AnnAssign) and name in {ast.unparse(t) for t in targets(node)})
    )
    texts = texts_in(owner, constants_of(tree))
    return [text for text in texts if len(re.findall("[A-Za-z]{2,}", text)) >= 7 and "|" not in text]


def targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def test_every_message_is_in_the_manual() -> None:
    missing = [
        f"{site.place}: {message}"
        for site in sites()
        for message in site.messages
        if not site.says_nothing and not entries_for(message)
    ]
    assert not missing, "\n".join(missing)


def test_messages_that_are_made_elsewhere_are_in_the_manual() -> None:
    dynamic = {site.place.partition(":")[0] for site in sites() if site.says_nothing}
    assert dynamic == set(MADE_BY)
    missing = [
        f"{file}: {name}: {text}"
        for makers in (*MADE_BY.values(), OF_THE_SYSTEM)
        for file, name in makers
        for text in sentences_within(PACKAGE / file, name)
        if not entries_for(text)
    ]
    assert not missing, "\n".join(missing)


def test_every_phrase_is_of_a_message() -> None:
    texts = [message for site in sites() for message in site.messages]
    texts += [text for path in FILES for text in texts_in(tree_of(path), {}) if " " in text]
    stale = [
        phrase
        for phrases, _ in entries_on_messages()
        for phrase in phrases
        if not any(is_in(phrase, text) for text in texts)
    ]
    assert not stale


def test_a_message_is_looked_up_whole(capsys: pytest.CaptureFixture[str]) -> None:
    message = (
        "/x/A_results.h5: fitted from bundle 1a, but the bundle now is 2b: run `pyxt-hpc fit-spectra` again"
    )
    assert main(["help", *message.split()]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "the bundle was made again after this file" in shown
    assert main(["help", "this is no message of ours"]) == 2

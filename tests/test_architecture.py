"""Rooms of the package, from the command line down to errors: imports only point downwards."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyxt_hpc

PACKAGE = Path(pyxt_hpc.__file__).parent
TESTS = Path(__file__).parent

# From top to bottom. A room may import rooms below it, and itself.
ROOMS = [
    *(
        "manual",
        "__main__",
        "cli",
        "doctor",
        "simulate",
        "data",
        "cluster",
        "sample",
        "report",
        "pipeline",
        "plots",
        "reference",
        "calibrate",
        "maps",
        "profiles",
        "clusterpyxt",
        "stages",
        "preprocess",
    ),
    *(
        "fit",
        "detect",
        "jobs",
        "store",
        "bundle",
        "spectra",
        "binning",
        "chandra",
        "parallel",
        "steps",
        "images",
    ),
    *("layout", "config", "provenance", "exit_codes", "arrays", "files", "errors", "__init__", "version"),
]


OF_ONE_KIND = {PACKAGE, PACKAGE / "cli" / "commands", PACKAGE / "manual", TESTS}
"""Folders whose children are alike: rooms, commands, topics and the tests of rooms."""

OF_SEVERAL_ROOMS = {"hostile", "input", "whole"}
"""Folders of tests that no single room has: of hostile machines, of real files, of commands in a row."""


def room_of(module: str) -> str:
    """Room of a module, such as ``chandra`` for ``pyxt_hpc.chandra.sky.fov``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def is_for_type_checkers(node: ast.stmt) -> bool:
    """Whether a statement is an ``if TYPE_CHECKING:`` block."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports_of(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, also inside functions.

    The package's own ``__init__`` names the objects of the face for type checkers only, and loads them when
    they are first used: those do not count.
    """
    tree = ast.parse(path.read_text())
    if path == PACKAGE / "__init__.py":
        tree.body = [node for node in tree.body if not is_for_type_checkers(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pyxt_hpc":
            if node.module != "pyxt_hpc":
                yield str(node.module)
            else:
                rooms = (f"pyxt_hpc.{alias.name}" for alias in node.names)
                yield from (name if room_of(name) in ROOMS else "pyxt_hpc" for name in rooms)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "pyxt_hpc")


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    upwards = [name for name in imports_of(path) if ROOMS.index(room_of(name)) < ROOMS.index(room)]
    assert not upwards


def test_every_room_has_its_place() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert rooms - {"__init__"} <= set(ROOMS)
    assert "fit" in {room_of(name) for name in imports_of(PACKAGE / "stages" / "fitting.py")}


def children(folder: Path) -> list[Path]:
    """Entries of a folder, without those that every folder may have."""
    return [
        path
        for path in folder.iterdir()
        if not path.name.startswith(("__", "."))
        and path.name not in {"conftest.py", "whole"}
        and not is_left_over(path)
    ]


def is_left_over(path: Path) -> bool:
    """Whether a folder has only files that Python compiled before the sources were moved."""
    return path.is_dir() and all("__pycache__" in inner.parts for inner in path.rglob("*") if inner.is_file())


def test_ten_children_of_a_folder_are_seen_at_one_look() -> None:
    folders = [root for top in (PACKAGE, TESTS) for root in (top, *filter(Path.is_dir, top.rglob("*")))]
    seen = {folder: len(children(folder)) for folder in folders if folder.name != "__pycache__"}
    assert {folder for folder, n in seen.items() if n > 10} == OF_ONE_KIND


def places(room: Path) -> dict[str, set[Path]]:
    """For the name of each module and folder of a room, the folders that contain one."""
    found: dict[str, set[Path]] = {}
    for path in room.rglob("*"):
        if path.is_dir() or path.suffix == ".py":
            found.setdefault(path.stem, set()).add(path.parent)
    return found


def test_the_test_of_a_module_stands_where_the_module_stands() -> None:
    """Tests of several modules have a name of their own; tests of several inner rooms are in ``whole``."""
    of_room = {room: places(room) for room in PACKAGE.iterdir() if room.is_dir()}
    checked = 0
    for path in TESTS.rglob("test_*.py"):
        folder = path.parent.relative_to(TESTS)
        if path.parent != TESTS and OF_SEVERAL_ROOMS.isdisjoint(folder.parts):
            assert (PACKAGE / folder).is_dir(), path
            modules = of_room[PACKAGE / folder.parts[0]].get(path.stem.removeprefix("test_"), set())
            assert not modules or PACKAGE / folder in modules, path
            checked += bool(modules)
    assert checked > 100


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_face_is_for_others(path: Path) -> None:
    """The package itself imports objects from the module that defines them, which shows their room."""
    tree = ast.walk(ast.parse(path.read_text()))
    nodes = [node for node in tree if isinstance(node, ast.ImportFrom) and node.module == "pyxt_hpc"]
    assert {alias.name for node in nodes for alias in node.names} <= set(ROOMS)


def test_names_of_the_face_are_the_same_for_type_checkers() -> None:
    body = ast.parse((PACKAGE / "__init__.py").read_text()).body
    (block,) = filter(is_for_type_checkers, body)
    assert isinstance(block, ast.If)
    homes = {
        alias.name: f"{node.module}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes == {name: f"pyxt_hpc.{home}" for name, home in pyxt_hpc._HOMES.items()}
    assert set(homes) | {"__version__"} == set(pyxt_hpc.__all__)


BENCHMARKS = sorted((TESTS.parent / "benchmarks").rglob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmarks_find_what_they_import(path: Path) -> None:
    """No test runs them, so that a name that is gone would be noticed months later."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "pyxt_hpc":
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")

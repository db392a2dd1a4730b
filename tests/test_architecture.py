"""Rooms of the package, from the command line down to errors: imports only point downwards."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyxt_hpc

PACKAGE = Path(pyxt_hpc.__file__).parent

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
        "ancestor",
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


OF_ONE_KIND = {PACKAGE, PACKAGE / "cli" / "commands", PACKAGE / "manual"}
"""Folders whose children are alike: rooms, commands and topics."""


def room_of(module: str) -> str:
    """``chandra`` of ``pyxt_hpc.chandra.sky.fov``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def is_for_type_checkers(node: ast.stmt) -> bool:
    """Whether it is an ``if TYPE_CHECKING:`` block."""
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


def test_ten_children_of_a_folder_are_seen_at_one_look() -> None:
    found = {
        folder: [path for path in folder.iterdir() if not path.name.startswith(("__", "."))]
        for folder in [PACKAGE, *filter(Path.is_dir, PACKAGE.rglob("*"))]
        if folder.name != "__pycache__"
    }
    assert {folder for folder, children in found.items() if len(children) > 10} == OF_ONE_KIND


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_face_is_for_others(path: Path) -> None:
    """The package itself takes objects from where they are, by which their room is known."""
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

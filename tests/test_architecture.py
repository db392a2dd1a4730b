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
        "__main__",
        "cli",
        "simulate",
        "data",
        "pipeline",
        "plots",
        "reference",
        "maps",
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
    *("layout", "config", "provenance", "exit_codes", "arrays", "files", "errors", "__init__"),
]


def room_of(module: str) -> str:
    """``chandra`` of ``pyxt_hpc.chandra.sky.fov``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
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

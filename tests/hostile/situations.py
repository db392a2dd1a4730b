"""Functions that cause situations; each is called with the folder of the cluster."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

Prepare = Callable[[Path], object]


def nothing(folder: Path) -> None:
    """Leave everything as it is."""


def both(*parts: Prepare) -> Prepare:
    """Cause several situations in turn."""
    return lambda folder: [part(folder) for part in parts]


def edit(old: str, new: str) -> Prepare:
    """Change the configuration."""

    def prepare(folder: Path) -> None:
        text = (folder / "demo.ini").read_text()
        assert old in text
        (folder / "demo.ini").write_bytes(text.replace(old, new).encode())

    return prepare


def away(folder: Path, name: str) -> Path:
    """Remove a file or folder, so that something else can take its place."""
    path = folder / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def file(name: str, data: bytes | str = "my notes\n") -> Prepare:
    """Put a file with this content in its place, not touched for long."""

    def prepare(folder: Path) -> None:
        path = away(folder, name)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        os.utime(path, (1, 1))

    return prepare


def fifo(name: str) -> Prepare:
    """Put a pipe in its place, whose opening waits for ever."""
    return lambda folder: os.mkfifo(away(folder, name))


def directory(name: str) -> Prepare:
    """Put a folder in its place."""
    return lambda folder: away(folder, name).mkdir()


def link(name: str, target: str) -> Prepare:
    """Put a link in its place."""
    return lambda folder: away(folder, name).symlink_to(target)


def unix_socket(name: str) -> Prepare:
    """Put a socket in its place; works in the file's folder, because names of sockets are short."""

    def prepare(folder: Path) -> None:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(away(folder, name)))

    return prepare

"""A cluster carried to another machine in one file, and its results brought back.

The file is a tar archive whose first member is the configuration; the others have the names that `Layout`
gives them, and every member carries its SHA-256 in its header. Nothing else is ever unpacked: no other names,
no links, no folders.
"""

import contextlib
import hashlib
import io
import lzma
import re
import shutil
import tarfile
import time
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pyxt_hpc.config.cluster import MAX_BYTES, ClusterConfig, read_config
from pyxt_hpc.config.ini import without_key
from pyxt_hpc.errors import ConfigError, DamagedFile, ForeignProduct, MissingInput, PyxtError
from pyxt_hpc.files.lock import WriterLock
from pyxt_hpc.files.quoting import one_line, shown
from pyxt_hpc.files.system_errors import system_errors
from pyxt_hpc.files.text import resolved
from pyxt_hpc.files.writing import check_regular, replacing
from pyxt_hpc.fit.inputs import read_cluster_bundle
from pyxt_hpc.images import read_image
from pyxt_hpc.layout import Layout
from pyxt_hpc.stages.merge import merge_store
from pyxt_hpc.store.reader import open_store

_DIGEST = "PYXT_HPC.sha256"
"""Keyword of a member's extended header."""

_CONFIG_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*\.ini")
_BLOCK = 1 << 20
_DAMAGE = (
    tarfile.TarError, EOFError, OSError, ValueError, OverflowError, RecursionError, zlib.error,
    lzma.LZMAError,
)  # fmt: skip


def pack_cluster(config: ClusterConfig, output: Path) -> list[str]:
    """Write one file with the configuration, the bundle and, if there is one, the scale map; their names.

    Paths in it are relative, and the configuration says so: it can be unpacked anywhere.

    Raises MissingInput, DamagedFile or ForeignProduct if the bundle is absent, unreadable or does not belong
    to the configuration; ConfigError if `output` is there and is not a file that `pack_cluster` wrote.
    """
    read_cluster_bundle(config)
    layout = Layout.of(config)
    sources = [path for path in (layout.bundle, *_scale_maps(layout)) if check_regular(path)]
    _refuse_to_replace(output)
    try:
        # left out, it is the folder of the file
        text = without_key(config.path.read_bytes().decode(), "cluster_info", "data_directory").encode()
    except ConfigError as error:
        raise ConfigError(f"{config.path}: {error}") from None
    portable = config.path.name if _CONFIG_NAME.fullmatch(config.path.name) else f"{config.name}.ini"
    names = [portable, *(str(path.relative_to(config.data_directory)) for path in sources)]
    with replacing(output) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, portable, io.BytesIO(text), len(text))
        for path, name in zip(sources, names[1:], strict=True):
            with path.open("rb") as file:  # of a link, the file that it leads to
                _add(archive, name, file, path.stat().st_size)
    return names


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = size, int(time.time())
    member.pax_headers = {_DIGEST: hashlib.file_digest(file, "sha256").hexdigest()}  # type: ignore[arg-type]
    file.seek(0)
    archive.addfile(member, file)


def _refuse_to_replace(output: Path) -> None:
    """Whoever gives the name of something else by mistake keeps it."""
    if not check_regular(output):
        return
    try:
        with tarfile.open(output) as archive:
            member = archive.next()
            if member is not None and _DIGEST in member.pax_headers:
                return
    except _DAMAGE:
        pass
    raise ConfigError(f"{output}: is there, and is not a file that pack wrote: give another --output")


def unpack_cluster(archive: Path, directory: Path) -> ClusterConfig:
    """Put what `pack_cluster` wrote below a folder, and read its configuration there; nothing is replaced.

    Every file is written under a temporary name and compared with its checksum; when all are whole and the
    configuration can be read, they get their names, the configuration last. Other files of the same content
    that are there already, as after a kill, are no obstacle.

    Raises
    ------
    MissingInput, DamagedFile
        If there is no such file, or it is not one that `pack_cluster` wrote.
    ConfigError
        If another file is there already.
    DiskFull
        If there is no room; then nothing is left behind.
    """
    if not check_regular(archive):
        raise MissingInput(f"{archive} is missing: `pyxt-hpc pack -c CONFIG` makes it")
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"--directory {directory} is no folder: give another")
    with contextlib.closing(_members(archive)) as members, contextlib.ExitStack() as stack:
        first = next(members, None)
        if first is None or not _CONFIG_NAME.fullmatch(first.name) or first.size > MAX_BYTES:
            raise _foreign(archive, "its first member is not a configuration")
        if check_regular(directory / first.name):
            raise _is_there(directory / first.name)
        # Entered first, so it gets its name last: where the configuration is, everything is.
        written = _write(stack, archive, directory / first.name, first)
        expected = _names_by(archive, written, directory)
        found = set()
        for member in members:
            if member.name not in expected or member.name in found:
                raise _foreign(archive, f"{shown(member.name)} is not one of its names, or is there twice")
            found.add(member.name)
            _write(stack, archive, directory / member.name, member)
        if not any(name.endswith("_bundle.h5") for name in found):
            raise _foreign(archive, "it holds no bundle")
    config = read_config(directory / first.name)
    read_cluster_bundle(config)  # whole, by its own checksum
    return config


@dataclass(frozen=True)
class _Member:
    """A file in an archive, its content in blocks."""

    name: str
    size: int
    digest: str
    blocks: Iterator[bytes]


def _members(archive: Path) -> Generator[_Member, None, None]:
    with _reading(archive), tarfile.open(archive) as tar:
        for member in tar:
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                raise _foreign(archive, f"{shown(member.name)} is not a regular file")
            digest = member.pax_headers.get(_DIGEST, "")
            if not re.fullmatch("[0-9a-f]{64}", digest):
                raise _foreign(archive, f"{shown(member.name)} has no checksum")
            yield _Member(member.name, member.size, digest, _blocks(archive, tar, member))


def _blocks(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    with _reading(archive):
        content = tar.extractfile(member)
        while content is not None and (block := content.read(_BLOCK)):
            yield block


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        reason = shown(one_line(str(error)) or type(error).__name__)
        raise DamagedFile(
            f"{archive}: cannot be unpacked ({reason}): it is not from pack, or copy it again"
        ) from None


def _foreign(archive: Path, found: str) -> DamagedFile:
    return DamagedFile(f"{archive}: is not from pack of this version ({found}): pack again and copy it again")


def _write(stack: contextlib.ExitStack, archive: Path, target: Path, member: _Member) -> Path:
    """Write a member under a temporary name, which it loses when the stack is left; where it is now."""
    if check_regular(target):
        with system_errors(target), target.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == member.digest:
                return target
        raise _is_there(target)
    temporary = stack.enter_context(replacing(target))
    digest = hashlib.sha256()
    with temporary.open("wb") as file:
        for block in member.blocks:
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != member.digest:
        raise DamagedFile(f"{archive}: {member.name} in it does not match its checksum: copy it again")
    return temporary


def _is_there(path: Path) -> ConfigError:
    return ConfigError(f"{path} is there already: give another --directory, or move it away")


def _names_by(archive: Path, config_path: Path, directory: Path) -> set[str]:
    """The names that `pack_cluster` may have written beside such a configuration."""
    try:
        config = read_config(config_path)
    except PyxtError as error:
        reason = str(error).replace(f"{config_path}: ", "")
        raise DamagedFile(f"{archive}: the configuration in it cannot be read: {reason}") from None
    if config.data_directory != resolved(directory):
        raise _foreign(archive, "its configuration has its data elsewhere")
    layout = Layout(Path(config.name), config.name)
    return {str(path) for path in (layout.bundle, *_scale_maps(layout))}


@dataclass(frozen=True)
class PulledResults:
    """What came back from another machine: files that were not here, and regions new in stores that were."""

    copied: tuple[Path, ...]
    added: int


def pull_results(config: ClusterConfig, folder: Path) -> PulledResults:
    """Bring back what another machine made: scale map, results store and parts.

    Parameters
    ----------
    folder
        A copy of the cluster's folder ``acb/`` of the other machine.

    Raises
    ------
    MissingInput
        If there are no results.
    ForeignProduct
        If they belong to another bundle or other settings than those here.
    DamagedFile
        If one cannot be read.
    StoreInUse
        If a run is writing the results here.
    """
    bundle = read_cluster_bundle(config)
    here = Layout.of(config)
    results = [folder / here.results.name, *sorted(folder.glob(f"{here.results.stem}_part-*-of-*.h5"))]
    results = [path for path in results if check_regular(path)]
    if not results:
        raise MissingInput(
            f"{folder}: no {here.results.name} and no part of it: give a copy of the folder acb/"
        )
    for path in results:
        with open_store(path) as file:
            if file.description["settings"].get("bundle") != bundle.fingerprint:
                raise ForeignProduct(f"{path}: was fitted from another bundle than {here.bundle}")
    copied, added = [], 0
    for target in _scale_maps(here):
        path = folder / target.name
        if check_regular(path) and not check_regular(target):
            made_by = f"pyxt-hpc create-bins -c {config.path}"
            read_image(path, made_by=made_by, bundle_fingerprint=bundle.fingerprint, shape=bundle.mask.shape)
            _copy(path, target)
            copied.append(target)
    for path in results:
        target = here.acb / path.name
        if check_regular(target):
            added += merge_store(target, path)
            continue
        with contextlib.ExitStack() as stack:
            stack.callback(WriterLock(target).release)
            _copy(path, target)
        copied.append(target)
    return PulledResults(tuple(copied), added)


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def _scale_maps(layout: Layout) -> tuple[Path, ...]:
    return layout.scale_map, layout.signal_to_noise_map, layout.region_index_map

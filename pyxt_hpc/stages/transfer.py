"""Transfer of a cluster to another machine in one file, and of its results back.

The file is a tar archive. Its first member is the configuration, the others have the names that `Layout`
gives them, and the header of every member has its SHA-256. Nothing else is unpacked: no other names, links or
folders.
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
    """Pack the configuration, the bundle and the scale map (if it exists) into one file; return their names.

    The packed configuration has no data_directory, so that the file can be unpacked anywhere.

    Raises MissingInput, DamagedFile or ForeignProduct if the bundle is missing, unreadable or does not belong
    to the configuration; ConfigError if `output` exists and `pack_cluster` did not write it.
    """
    read_cluster_bundle(config)
    layout = Layout.of(config)
    sources = [path for path in (layout.bundle, *_scale_maps(layout)) if check_regular(path)]
    _refuse_to_replace(output)
    try:
        # The default of data_directory is the folder of the configuration.
        text = without_key(config.path.read_bytes().decode(), "cluster_info", "data_directory").encode()
    except ConfigError as error:
        raise ConfigError(f"{config.path}: {error}") from None
    portable = config.path.name if _CONFIG_NAME.fullmatch(config.path.name) else f"{config.name}.ini"
    names = [portable, *(str(path.relative_to(config.data_directory)) for path in sources)]
    with replacing(output) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, portable, io.BytesIO(text), len(text))
        for path, name in zip(sources, names[1:], strict=True):
            with path.open("rb") as file:  # follows links
                _add(archive, name, file, path.stat().st_size)
    return names


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = size, int(time.time())
    member.pax_headers = {_DIGEST: hashlib.file_digest(file, "sha256").hexdigest()}  # type: ignore[arg-type]
    file.seek(0)
    archive.addfile(member, file)


def _refuse_to_replace(output: Path) -> None:
    """Refuse to replace a file that `pack_cluster` did not write."""
    if not check_regular(output):
        return
    try:
        with tarfile.open(output) as archive:
            member = archive.next()
            if member is not None and _DIGEST in member.pax_headers:
                return
    except _DAMAGE:
        pass
    raise ConfigError(f"{output}: exists, and was not written by pack: give another --output")


def unpack_cluster(archive: Path, directory: Path) -> ClusterConfig:
    """Unpack a file of `pack_cluster` into a folder, and read its configuration; no file is replaced.

    Every file is written under a temporary name and compared with its checksum. If all are complete and the
    configuration can be read, they get their names, the configuration last. Existing files with the same
    content, as after a kill, are kept.

    Raises
    ------
    MissingInput, DamagedFile
        If there is no such file, or `pack_cluster` did not write it.
    ConfigError
        If a different file already exists.
    DiskFull
        If there is not enough space; no file is left then.
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
        # Entered first, so that it gets its name last: the configuration shows that all files are complete.
        written = _write(stack, archive, directory / first.name, first)
        expected = _names_by(archive, written, directory)
        found = set()
        for member in members:
            if member.name not in expected or member.name in found:
                raise _foreign(archive, f"{shown(member.name)} is an unexpected name, or occurs twice")
            found.add(member.name)
            _write(stack, archive, directory / member.name, member)
        if not any(name.endswith("_bundle.h5") for name in found):
            raise _foreign(archive, "it contains no bundle")
    config = read_config(directory / first.name)
    read_cluster_bundle(config)  # checks its own checksum
    return config


@dataclass(frozen=True)
class _Member:
    """A file in an archive, with its content in blocks."""

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
            f"{archive}: cannot be unpacked ({reason}): it is not from pack, or is damaged: copy it again"
        ) from None


def _foreign(archive: Path, found: str) -> DamagedFile:
    return DamagedFile(f"{archive}: is not from pack of this version ({found}): pack again and copy it again")


def _write(stack: contextlib.ExitStack, archive: Path, target: Path, member: _Member) -> Path:
    """Write a member to a temporary file, which is renamed at the end of the stack; return its path."""
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
    return ConfigError(f"{path} already exists: give another --directory, or move it away")


def _names_by(archive: Path, config_path: Path, directory: Path) -> set[str]:
    """Names of the files that `pack_cluster` may add to this configuration."""
    try:
        config = read_config(config_path)
    except PyxtError as error:
        reason = str(error).replace(f"{config_path}: ", "")
        raise DamagedFile(f"{archive}: the configuration in it cannot be read: {reason}") from None
    if config.data_directory != resolved(directory):
        raise _foreign(archive, "its configuration has a data_directory")
    layout = Layout(Path(config.name), config.name)
    return {str(path) for path in (layout.bundle, *_scale_maps(layout))}


@dataclass(frozen=True)
class PulledResults:
    """Files copied from another machine, and number of regions added to existing stores."""

    copied: tuple[Path, ...]
    added: int


def pull_results(config: ClusterConfig, folder: Path) -> PulledResults:
    """Copy or merge the scale map, results store and parts of another machine.

    Parameters
    ----------
    folder
        Copy of the cluster's folder ``acb/`` of the other machine.

    Raises
    ------
    MissingInput
        If there are no results.
    ForeignProduct
        If they belong to another bundle or other settings than those of this cluster.
    DamagedFile
        If one cannot be read.
    StoreInUse
        If a run is writing the results of this cluster.
    """
    bundle = read_cluster_bundle(config)
    here = Layout.of(config)
    results = [folder / here.results.name, *sorted(folder.glob(f"{here.results.stem}_part-*-of-*.h5"))]
    results = [path for path in results if check_regular(path)]
    if not results:
        raise MissingInput(
            f"{folder}: contains neither {here.results.name} nor a part of it: give a copy of the folder acb/"
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

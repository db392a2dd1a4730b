"""A cluster carried to another machine in one file, and its results brought back."""

import io
import re
import shutil
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyxt_hpc.config import ClusterConfig, read_config
from pyxt_hpc.errors import ConfigError, DamagedFile, ForeignProduct, MissingInput
from pyxt_hpc.files import replacing
from pyxt_hpc.layout import Layout
from pyxt_hpc.stages.inputs import read_cluster_bundle
from pyxt_hpc.stages.merge import merge_store
from pyxt_hpc.store import open_to_read


def pack(config: ClusterConfig, output: Path) -> list[str]:
    """Write one file with the configuration, the bundle and, if there is one, the scale map.

    Paths in it are relative, and the configuration says so: it can be unpacked anywhere.

    Returns
    -------
    list of str
        Names of the files in it.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct
        If the bundle is absent, unreadable or does not belong to the configuration.
    """
    read_cluster_bundle(config)
    layout = Layout.of(config)
    with replacing(output) as temporary, tarfile.open(temporary, "w") as archive:
        text = _with_data_here(config.path.read_text(encoding="utf-8")).encode()
        portable = tarfile.TarInfo(config.path.name)
        portable.size, portable.mtime = len(text), int(time.time())
        archive.addfile(portable, io.BytesIO(text))
        for path in (layout.bundle, *_scale_maps(layout)):
            if path.exists():
                archive.add(path, str(path.relative_to(config.data_directory)))
        names = archive.getnames()
    return names


def unpack(archive: Path, directory: Path) -> ClusterConfig:
    """Put what `pack` wrote below a folder; nothing that is there is replaced.

    Returns
    -------
    ClusterConfig
        Of the cluster in its new place.

    Raises
    ------
    MissingInput, DamagedFile
        If there is no such file, or it is not one that `pack` wrote.
    ConfigError
        If a file is there already.
    """
    if not archive.exists():
        raise MissingInput(f"{archive} is missing: `pyxt-hpc pack -c CONFIG` makes it")
    try:
        with tarfile.open(archive) as tar:
            members = tar.getmembers()
            configs = [m.name for m in members if "/" not in m.name and m.isfile()]
            if len(configs) != 1 or not any(m.name.endswith("_bundle.h5") for m in members):
                raise DamagedFile(f"{archive}: expected one configuration and a bundle: it is not from pack")
            there = [directory / m.name for m in members if (directory / m.name).exists()]
            if there:
                raise ConfigError(f"{there[0]} is there already: give another --directory, or move it away")
            directory.mkdir(parents=True, exist_ok=True)
            tar.extractall(directory, members, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise DamagedFile(f"{archive}: cannot be unpacked ({error}): copy it again") from None
    config = read_config(directory / configs[0])
    read_cluster_bundle(config)  # whole, by its checksum
    return config


@dataclass(frozen=True)
class Pulled:
    """What came back from another machine.

    Parameters
    ----------
    copied
        Files that were not here.
    added
        Regions new in results stores that were.
    """

    copied: tuple[Path, ...]
    added: int


def pull_results(config: ClusterConfig, folder: Path) -> Pulled:
    """Bring back what another machine made: scale map, results store and parts.

    Parameters
    ----------
    config
        The cluster here.
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
    results = [path for path in results if path.exists()]
    if not results:
        raise MissingInput(
            f"{folder}: no {here.results.name} and no part of it: give a copy of the folder acb/"
        )
    for path in results:
        with open_to_read(path) as file:
            if file.description["settings"].get("bundle") != bundle.fingerprint:
                raise ForeignProduct(f"{path}: was fitted from another bundle than {here.bundle}")
    copied, added = [], 0
    for path in (*results, *(folder / path.name for path in _scale_maps(here))):
        target = here.acb / path.name
        if path.exists() and not target.exists():
            with replacing(target) as temporary:
                shutil.copyfile(path, temporary)
            copied.append(target)
        elif path in results:
            added += merge_store(target, path)
    return Pulled(tuple(copied), added)


def _scale_maps(layout: Layout) -> Iterator[Path]:
    yield from (layout.scale_map, layout.signal_to_noise_map, layout.region_index_map)


def _with_data_here(text: str) -> str:
    """The configuration with its data in its own folder."""
    line = re.compile(r"^data_directory\s*[=:][^#;\n]*", re.MULTILINE)
    if line.search(text):
        return line.sub("data_directory = .  ", text, count=1)
    return re.sub(r"^\[cluster_info\].*$", r"\g<0>\ndata_directory = .", text, count=1, flags=re.MULTILINE)

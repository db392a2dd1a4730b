"""Merging of the part stores of a job array into the cluster's results store."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ForeignProduct, MissingInput
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.fit.inputs import fit_fingerprint, read_cluster_bundle, read_region_map
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.parts import PartState, add_parts, identity_of
from pyxt_hpc.store.reader import open_store
from pyxt_hpc.store.resume import StoreContents, resume_or_create
from pyxt_hpc.store.rows import is_final
from pyxt_hpc.store.writer import ResultsStore


@dataclass(frozen=True)
class MergeSummary:
    """Parts that were merged or are missing.

    `missing` are the files that are absent from job arrays of the sizes found. Of the store's `regions`,
    `finished` need no more work, and this merge added `added` of them.
    """

    results: Path
    resolution: int
    parts: tuple[PartState, ...]
    missing: tuple[Path, ...]
    regions: int
    finished: int
    added: int


def merge_results(config: ClusterConfig) -> MergeSummary:
    """Add every finished region of the part stores to the results store, which is created if necessary.

    Parts are not changed; another merge adds the regions that have been finished since. A region's row in the
    store is kept, unless it is bad there and done in a part.

    Raises
    ------
    MissingInput
        If there is no part or no scale map.
    ForeignProduct
        If parts, store and scale map do not belong together.
    DamagedFile
        If one of them cannot be read.
    StoreInUse
        If a run is writing the results store.
    """
    layout = Layout.of(config)
    paths = layout.all_part_results()
    if not paths:
        raise MissingInput(
            f"{layout.acb}: there is no part to merge: `pyxt-hpc fit-spectra -c {config.path} --slice I/N` "
            "makes part I of N"
        )
    identities = {path: identity_of(path) for path in paths}
    shared = {path: (own.settings, own.fingerprint) for path, own in identities.items()}
    settings, identity = _common(shared, layout.results)
    bundle = read_cluster_bundle(config)
    regions = read_region_map(config, bundle).select(int(settings["resolution"]))
    if fit_fingerprint(settings, regions) != identity:
        raise ForeignProduct(
            f"{paths[0]}: its regions are not those of {layout.scale_map}: run `pyxt-hpc fit-spectra` again"
        )
    numbers = regions.table["region"]
    with resume_or_create(layout.results, StoreContents(regions.table, settings, identity)) as store:
        before = int(is_final(store.status()).sum())
        parts = add_parts(store, numbers, paths)
        after = int(is_final(store.verified()).sum())
    return MergeSummary(
        results=layout.results,
        resolution=int(settings["resolution"]),
        parts=parts,
        missing=tuple(_missing(layout, [own.slice for own in identities.values()])),
        regions=len(numbers),
        finished=after,
        added=after - before,
    )


def merge_store(results: Path, other: Path) -> int:
    """Add every finished region of another store of the same regions; return the number of new ones.

    Raises
    ------
    ForeignProduct
        If they do not belong together.
    DamagedFile, StoreInUse
        As `merge_results`.
    """
    settings, identity = _description(other)
    with ResultsStore.open_for_resume(results, fingerprint=identity, settings=settings) as store:
        before = int(is_final(store.status()).sum())
        add_parts(store, store.column("region"), [other])
        return int(is_final(store.verified()).sum()) - before


def _description(path: Path) -> tuple[dict[str, Any], str]:
    with open_store(path) as file:
        return file.description["settings"], file.description["fingerprint"]


def _common(
    identities: Mapping[Path, tuple[dict[str, Any], str]], results: Path
) -> tuple[dict[str, Any], str]:
    """Fingerprint and settings (without the slice) that all stores share."""
    found = dict(identities)
    if check_regular(results):
        found[results] = _description(results)
    (first, (settings, identity)), *others = found.items()
    for path, (other, other_identity) in others:
        if (other, other_identity) != (settings, identity):
            differing = [
                f"{name} is {settings.get(name)} in the first, {other.get(name)} in the second"
                for name in sorted({*settings, *other})
                if settings.get(name) != other.get(name)
            ]
            raise ForeignProduct(
                f"{first} and {path} do not belong together ({'; '.join(differing) or 'other regions'}): "
                "move away the one that you do not want"
            )
    return settings, identity


def _missing(layout: Layout, slices: list[str]) -> list[Path]:
    sizes = sorted({int(text.partition("/")[2]) for text in slices})
    wanted = [layout.part_results(part, size) for size in sizes for part in range(1, size + 1)]
    return [path for path in wanted if not check_regular(path)]

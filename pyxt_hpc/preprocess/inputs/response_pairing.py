"""Assignment of supplied ARFs and RMFs to datasets.

If all chips in use are of one kind, an observation has the ARF and RMF that the configuration names. If both
kinds are in use, each kind has its own files, such as ``9003-FI.arf``; a pair with the name of the whole
observation is used for the kind of chips on which it was made. With several places, each place has its own
files, such as ``9003-FI-p2.arf``.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.wcs import WCS

from pyxt_hpc.chandra.events import read_header
from pyxt_hpc.chandra.keywords import optical_axis
from pyxt_hpc.chandra.kinds import KINDS, Dataset, datasets_of, kind_of, kind_of_all
from pyxt_hpc.chandra.ogip.response_header import chips_named, response_headers
from pyxt_hpc.chandra.sky.geometry import FieldGeometry, chip_outlines, read_geometry
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import MissingInput, ResponseMismatch
from pyxt_hpc.files.quoting import listed
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.inputs.arf_position import ccd_at, find_arf_position

log = logging.getLogger(__name__)

RESPONSE_KEYS = ("arf_files", "rmf_files")
"""Attributes of the configuration by which responses are found."""

OTHERS_TAKE_IT = "its pixels use the nearest place that has one"


@dataclass(frozen=True)
class SuppliedResponse:
    """ARF and RMF of a dataset, and the path of the region in which they were made, which need not exist.

    ``by_ciao``: made in stage 3, in a region in the observation's own sky pixels.
    """

    dataset: Dataset
    arf: Path
    rmf: Path
    region: Path
    by_ciao: bool = False


def find_datasets(config: ClusterConfig, layout: Layout) -> tuple[Dataset, ...]:
    """Datasets of all observations, after stage 1; places on one kind of chips are adjacent.

    Raises the errors of `read_geometry`.
    """
    return tuple(
        place
        for obsid in config.observation_ids
        for dataset in datasets_of(obsid, read_geometry(layout.geometry(obsid)).chips)
        for place in dataset.places(config.response_places)
    )


def find_responses(
    config: ClusterConfig, layout: Layout, datasets: Sequence[Dataset], frames: Mapping[str, WCS]
) -> tuple[tuple[SuppliedResponse, ...], dict[str, str]]:
    """Find the responses of all datasets by ``arf_files`` and ``rmf_files`` of the configuration.

    If a person has supplied none, the responses made by CIAO are used.

    Returns the responses in the order of the datasets; and, for each dataset without a response of its own,
    by name, what is missing, if another dataset of the observation has one. Raises MissingInput with all
    missing files if an observation has no response, or only one file of a pair; ResponseMismatch if a header
    says that a response was made on the other kind of chips.
    """
    found: list[SuppliedResponse] = []
    missing: list[str] = []
    left_out: dict[str, str] = {}
    for obsid in dict.fromkeys(dataset.obsid for dataset in datasets):
        own = [dataset for dataset in datasets if dataset.obsid == obsid]
        plain = _pair(config, layout, obsid, obsid)
        supplied = {d.name: _pair(config, layout, obsid, d.name) for d in own}
        if len(own) > 1 and config.response_places == 1:
            supplied |= _shared(plain, layout, own, supplied, frames)
        made = {d.name: {"ARF": layout.ciao_arf(d.name), "RMF": layout.ciao_rmf(d.name)} for d in own}
        for name, files in made.items():
            if not _absent(files) and not _is_begun(supplied[name]):
                supplied[name] = files
        incomplete = [d for d in own if _absent(supplied[d.name])]
        for dataset in own:
            files = supplied[dataset.name]
            if dataset not in incomplete:
                _check_kind(dataset, files)
                by_ciao = files == made[dataset.name]
                name = obsid if files == plain else dataset.name
                region = layout.ciao_region(dataset.name) if by_ciao else layout.response_region(name)
                found.append(SuppliedResponse(dataset, files["ARF"], files["RMF"], region, by_ciao))
            elif len(incomplete) < len(own) and not _is_begun(files):
                names = " and ".join(path.name for path in files.values())
                left_out[dataset.name] = (
                    f"{dataset}: no response of its own ({names} in {files['ARF'].parent})"
                )
                if any(d.whole == dataset.whole for d in own if d not in incomplete):
                    left_out[dataset.name] += f": {OTHERS_TAKE_IT}"
            else:
                missing += [_wanted(dataset, what, path) for what, path in _absent(files).items()]
    if missing:
        without = {d.obsid for d in datasets if d.is_part} - {d.dataset.obsid for d in found}
        enough = (
            "responses for one kind of chips are enough; the other kind is then left out" if without else ""
        )
        if config.response_places > 1:
            enough = "a response at one of the response_places is enough; all pixels then use it"
        raise MissingInput.of_several(f"{len(missing)} missing", [*missing, *([enough] if enough else [])])
    return tuple(found), left_out


def _pair(config: ClusterConfig, layout: Layout, obsid: str, name: str) -> dict[str, Path]:
    """Paths of ARF and RMF that the configuration gives for a dataset or a whole observation."""
    return {
        what: layout.supplied_response(pattern, obsid, name)
        for what, pattern in (("ARF", config.arf_files), ("RMF", config.rmf_files))
    }


def _absent(pair: Mapping[str, Path]) -> dict[str, Path]:
    return {what: path for what, path in pair.items() if not check_regular(path)}


def _is_begun(pair: Mapping[str, Path]) -> bool:
    return len(_absent(pair)) < len(pair)


def _shared(
    plain: dict[str, Path],
    layout: Layout,
    datasets: Sequence[Dataset],
    supplied: Mapping[str, dict[str, Path]],
    frames: Mapping[str, WCS],
) -> dict[str, dict[str, Path]]:
    """The pair named for the whole observation, assigned to the kind of chips on which it was made."""
    open_to_it = [d for d in datasets if not _is_begun(supplied[d.name])]
    if not open_to_it or _absent(plain):
        return {}
    kind, why = _kind_of_pair(plain, layout, datasets[0].obsid, frames)
    for dataset in open_to_it:
        if dataset.kind == kind:
            log.warning("%s: used for %s: %s", plain["ARF"], dataset, why)
            return {dataset.name: plain}
    log.warning(
        "%s: not used: it is of %s chips (%s), which have a response of their own",
        plain["ARF"], KINDS[kind], why,
    )  # fmt: skip
    return {}


def _kind_of_pair(
    pair: Mapping[str, Path], layout: Layout, obsid: str, frames: Mapping[str, WCS]
) -> tuple[str, str]:
    """Kind of chips on which a pair was made, and the source of this information."""
    if named := _kinds_in_headers(pair):
        return named
    geometry = read_geometry(layout.geometry(obsid))
    place = find_arf_position(pair["ARF"], layout.response_region(obsid), geometry, frames)
    if place is not None:
        chips = set(place.chip[place.chip >= 0].tolist())
        if kind := kind_of_all(chips):
            return kind, f"made on CCD {listed(sorted(chips))} according to {place.told_by}"
    axis = optical_axis(read_header(layout.filtered_events(obsid), ours=True))
    chip = nearest_chip(geometry, axis)
    return kind_of(chip), (
        f"the aimpoint is on CCD {chip}, and neither the headers nor a response region older than the ARF "
        "say on which chips it was made"
    )


def _kinds_in_headers(pair: Mapping[str, Path]) -> tuple[str, str] | None:
    """Kind of chips in the headers of ARF and RMF. Raises ResponseMismatch if they name different kinds."""
    named = {}
    for what, path in pair.items():
        chips = chips_named(response_headers(path))
        if kind := kind_of_all(chips):
            named[what] = kind, f"the header of {path.name} names CCD {listed(sorted(chips))}"
    if len({kind for kind, _ in named.values()}) > 1:
        raise ResponseMismatch(
            f"{pair['ARF']}: {' and '.join(why for _, why in named.values())}: ARF and RMF are of different "
            "kinds of chips; make both on the same chip"
        )
    return next(iter(named.values()), None)


def _check_kind(dataset: Dataset, pair: Mapping[str, Path]) -> None:
    named = _kinds_in_headers(pair)
    if named is not None and named[0] != dataset.kind:
        path = next(path for what, path in pair.items() if _kinds_in_headers({what: path}))
        raise ResponseMismatch(
            f"{path}: {named[1]}, which is {KINDS[named[0]]}, but it is supplied for {dataset}; make "
            "it on one of these"
        )


def nearest_chip(geometry: FieldGeometry, position: tuple[float, float]) -> int:
    """CCD at a position RA, Dec [deg], else the CCD with the nearest centre."""
    (chip,) = ccd_at(geometry, *(np.array([degrees]) for degrees in position))
    if chip >= 0:
        return int(chip)
    middles = {ccd: outlines[0].mean(axis=0) for ccd, outlines in chip_outlines(geometry).items()}
    return min(middles, key=lambda ccd: float(off_axis_arcmin(middles[ccd][0], middles[ccd][1], *position)))


def _wanted(dataset: Dataset, what: str, path: Path) -> str:
    tool = "mkwarf" if what == "ARF" else "mkacisrmf"
    return (
        f"{path} (the {what} of {dataset if dataset.is_part else f'ObsID {dataset.obsid}'}: CIAO's "
        f"specextract or {tool} makes it; {what.lower()}_files in the configuration is its path)"
    )

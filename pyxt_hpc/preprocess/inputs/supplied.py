"""Input files of preprocessing: they are found by patterns, and all missing files are named at once."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyxt_hpc.errors import ConfigError, ForeignProduct, MissingInput
from pyxt_hpc.files.quoting import listed
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.layout import Layout
from pyxt_hpc.steps import changed_since, read_record

log = logging.getLogger(__name__)

# The first folder with a match is used, and in it products of chandra_repro (*_repro_*), which are newer than
# those of the archive.
_EVENTS = ("repro/*_repro_evt2.fits*", "primary/*_evt2.fits*", "*_evt2.fits*")
_LEVEL_1 = ("repro/*evt1.fits*", "primary/*evt1.fits*", "secondary/*evt1.fits*", "*evt1.fits*")
_FOV = ("repro/*fov1.fits*", "primary/*fov1.fits*", "*fov1.fits*")
_ASPECT = ("repro/*asol1.fits*", "primary/*asol1.fits*", "*asol1.fits*")
_ARCHIVE = "download_chandra_obsid provides it"
_PROPOSES = "draw it in DS9, saved in fk5, or let `pyxt-hpc propose-regions` propose it"


@dataclass(frozen=True)
class ObservationFiles:
    """The files of one observation; missing optional files are None or an empty tuple."""

    obsid: str
    events: Path
    fov: Path | None
    aspect: tuple[Path, ...]
    background: Path | None


def find_observations(layout: Layout, obsids: Iterable[str]) -> tuple[ObservationFiles, ...]:
    """Find the files of every observation.

    Raises MissingInput with every missing file and its provider; ConfigError if a pattern matches several
    different files.
    """
    missing: list[str] = []
    found = []
    for obsid in obsids:
        folder = layout.observation(obsid)
        if not folder.is_dir():
            missing.append(f"{folder} ({_ARCHIVE}; if there is no such ObsID, correct observation_ids)")
            continue
        events = _only(folder, _EVENTS)
        if events is None:
            missing.append(f"{folder}/{_EVENTS[1]} ({_without_events(folder)})")
        supplied = layout.supplied_background(obsid)
        background = supplied if check_regular(supplied) else layout.ciao_background(obsid)
        if not check_regular(background) and not check_regular(layout.background_reg):
            missing.append(
                f"{supplied} (blank-sky events, from CIAO's blanksky script or CALDB; or draw "
                f"{layout.background_reg} on a part of the field without the cluster)"
            )
        if events is not None:
            found.append(
                ObservationFiles(
                    obsid,
                    events,
                    _only(folder, _FOV),
                    tuple(_matches(folder, _ASPECT)),
                    background if check_regular(background) else None,
                )
            )
    _stop_if_missing(missing)
    return tuple(found)


def need(provider: str, *paths: Path) -> None:
    """Check that files exist. Raises MissingInput with all missing files and their provider."""
    _stop_if_missing([f"{path} ({provider})" for path in paths if not check_regular(path)])


def need_regions(*paths: Path) -> None:
    """Check, as `need`, region files that a person draws or `propose-regions` proposes."""
    need(_PROPOSES, *paths)


def need_current(
    layout: Layout,
    stage: str,
    parts: Iterable[str],
    settings: Mapping[str, object] | None = None,
    *,
    unless: Iterable[Path] = (),
) -> None:
    """Check that what a stage has made of observations or datasets is of its inputs as they are now.

    ``settings`` are keys of the configuration that it was made with, too. The files ``unless`` may have been
    made again, and are checked where they are read. Raises ForeignProduct, which names all that has changed.
    """
    records = [layout.step_record(stage, part) for part in parts]
    changed = [str(path) for record in records for path in changed_since(record) if path not in set(unless)]
    before = [(read_record(record) or {"settings": {}})["settings"] for record in records]
    changed += [
        f"{key} of the configuration"
        for key, now in (settings or {}).items()
        if any(one.get(key, now) != now for one in before)
    ]
    if changed:
        raise ForeignProduct(
            f"{listed(dict.fromkeys(changed))}: changed after {stage} used it, and the next stage would mix "
            f"both: run `pyxt-hpc {stage}` again first, or all that is due with `pyxt-hpc run`"
        )


def _stop_if_missing(missing: list[str]) -> None:
    if missing:
        raise MissingInput.of_several(f"{len(missing)} missing", missing)


def _only(folder: Path, patterns: tuple[str, ...]) -> Path | None:
    found = _matches(folder, patterns)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ConfigError(
            f"{found[0].parent}: several files match {patterns[1][8:]}: {names}; keep one: the newest of "
            "several versions, or that with the largest EXPOSURE of interleaved exposures (e1, e2)"
        )
    return found[0] if found else None


def _without_events(folder: Path) -> str:
    level_1 = _matches(folder, _LEVEL_1)
    return f"{level_1[0].name} is of level 1: make level 2 with chandra_repro" if level_1 else _ARCHIVE


def _matches(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    for pattern in patterns:
        if found := _without_copies(folder.glob(pattern)):
            made = [path for path in found if "_repro_" in path.name]
            return made or found
    return []


def _without_copies(paths: Iterable[Path]) -> list[Path]:
    """Sorted FITS files without hidden ones; of ``a.fits`` and ``a.fits.gz`` only the first."""
    found = sorted(path for path in paths if path.name.endswith((".fits", ".fits.gz")))
    found = [path for path in found if not path.name.startswith(".") and check_regular(path)]
    copies = [path for path in found if path.suffix == ".gz" and path.with_suffix("") in found]
    for path in copies:
        log.warning("%s: not used, because %s is beside it", path, path.with_suffix("").name)
    return [path for path in found if path not in copies]

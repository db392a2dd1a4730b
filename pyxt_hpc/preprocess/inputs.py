"""The files that preprocessing starts from: found by pattern, checked before anything is computed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pyxt_hpc.errors import ConfigError, MissingInput
from pyxt_hpc.layout import Layout

# the first folder with a match wins: what chandra_repro made is newer than the archive's own
_EVENTS = ("repro/*_repro_evt2.fits*", "primary/*_evt2.fits*", "*_evt2.fits*")
_FOV = ("repro/*fov1.fits*", "primary/*fov1.fits*", "*fov1.fits*")
_ARCHIVE = "download_chandra_obsid provides it"


@dataclass(frozen=True)
class ObservationInputs:
    """What one observation needs."""

    obsid: str
    events: Path
    fov: Path
    background: Path
    arf: Path
    rmf: Path


@dataclass(frozen=True)
class ClusterInputs:
    """What a cluster needs: region files and observations."""

    sources: Path
    crop: Path
    observations: tuple[ObservationInputs, ...]


def find_inputs(layout: Layout, obsids: Iterable[str]) -> ClusterInputs:
    """Find every input file.

    Raises
    ------
    MissingInput
        Names every file that is missing, with who provides it.
    ConfigError
        A pattern matches several different files.
    """
    missing: list[str] = []

    def need(path: Path, provider: str) -> Path:
        if not path.is_file():
            missing.append(f"{path} ({provider})")
        return path

    def find(folder: Path, patterns: tuple[str, ...], provider: str) -> Path:
        for pattern in patterns:
            if found := _without_copies(folder.glob(pattern)):
                if len(found) > 1:
                    names = ", ".join(path.name for path in found)
                    raise ConfigError(f"{found[0].parent}: several files match {pattern}: {names}; keep one")
                return found[0]
        missing.append(f"{folder}/{patterns[1]} ({provider})")
        return folder / patterns[1]

    sources = need(layout.sources_reg, "draw the point sources in DS9, saved in fk5; empty if there are none")
    crop = need(layout.crop_reg, "draw one box around the emission in DS9, saved in fk5")
    observations = []
    for obsid in obsids:
        folder = layout.observation(obsid)
        if not folder.is_dir():
            missing.append(f"{folder} ({_ARCHIVE}; if there is no such ObsID, correct observation_ids)")
            continue
        observations.append(
            ObservationInputs(
                obsid,
                events=find(folder, _EVENTS, _ARCHIVE),
                fov=find(folder, _FOV, f"{_ARCHIVE}, or CIAO's skyfov"),
                background=need(
                    layout.supplied_background(obsid), "blank-sky events, from CIAO's blanksky script"
                ),
                arf=need(layout.supplied_arf(obsid), "CIAO's specextract or mkwarf makes it"),
                rmf=need(layout.supplied_rmf(obsid), "CIAO's specextract or mkacisrmf makes it"),
            )
        )
    if missing:
        raise MissingInput(f"{len(missing)} missing: {'; '.join(missing)}")
    return ClusterInputs(sources, crop, tuple(observations))


def _without_copies(paths: Iterable[Path]) -> list[Path]:
    """Sorted, hidden files out; of ``a.fits`` and ``a.fits.gz`` only the first."""
    found = sorted(path for path in paths if path.name.endswith((".fits", ".fits.gz")))
    found = [path for path in found if not path.name.startswith(".")]
    return [path for path in found if path.suffix != ".gz" or path.with_suffix("") not in found]

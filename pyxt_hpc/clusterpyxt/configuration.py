"""Reading of a cluster's configuration in ClusterPyXT; the unit of the column density is recognised."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyxt_hpc.config import parsers
from pyxt_hpc.config.cluster import KEYS
from pyxt_hpc.config.ini import parse_ini
from pyxt_hpc.errors import ConfigError, MissingInput
from pyxt_hpc.files.quoting import quoted, shown
from pyxt_hpc.files.text import read_text

SECTION = "cluster"
_ENDING = "_pypeline_config.ini"
_CM2_MIN = 1e15  # larger column densities are in cm^-2, since none is as large in 1e22 cm^-2
_UNIT_CM2 = 1e22

# ClusterPyXT's key: our key.
_SAME = {
    "redshift": "redshift",
    "hydrogen_column_density": "hydrogen_column_density",
    "abundance": "abundance",
    "signal_to_noise": "signal_to_noise_threshold",
}


@dataclass
class ClusterpyxtConfig:
    """Content of a configuration of ClusterPyXT.

    Parameters
    ----------
    path, name
        Path of the file, and name of the cluster.
    obsids
        ObsIDs in the order of the file.
    texts
        Known values of our configuration, as texts by the names of keys.
    fitted_nH
        Absorbing column [1e22 cm^-2] of ClusterPyXT's fits, which divide the number by 1e22 whatever its unit
        is; None: not known.
    taken, changed, missing
        Lines about values that were adopted, were changed, and are missing.
    """

    path: Path
    name: str
    obsids: tuple[str, ...]
    texts: dict[str, str]
    fitted_nH: float | None
    taken: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def find_config(folder: Path) -> Path:
    """Find the configuration in a cluster's folder or, as in copies for a supercomputer, in its ``acb/``.

    Raises MissingInput if there is no configuration; ConfigError if there are several.
    """
    for place in (folder, folder / "acb"):
        found = sorted(place.glob(f"*{_ENDING}")) if place.is_dir() else []
        if len(found) > 1:
            raise ConfigError(
                f"{place}: holds {', '.join(path.name for path in found)}: keep the one of the cluster"
            )
        if found:
            return found[0]
    raise MissingInput(
        f"{folder}: no *{_ENDING} in it nor in its acb/: give the folder of one cluster of ClusterPyXT, "
        "<data directory>/<name>"
    )


def read_clusterpyxt_config(path: Path, given: Mapping[str, str]) -> ClusterpyxtConfig:
    """Read a configuration of ClusterPyXT.

    Parameters
    ----------
    path
        ``<name>_pypeline_config.ini``.
    given
        Values of our keys, as texts; they take precedence over the file.

    Raises
    ------
    MissingInput, DamagedFile
        If the file is absent or unreadable.
    ConfigError
        If it is no INI file, or has no section ``[cluster]``, no valid name or no valid ObsIDs.
    """
    parser = parse_ini(read_text(path, "give the cluster's folder"), path, "a configuration of ClusterPyXT")
    if not parser.has_section(SECTION):
        raise ConfigError(
            f"{path}: has the sections {quoted(parser.sections())}, expected ClusterPyXT's [{SECTION}]"
        )
    own = {key: text.strip() for key, text in parser.items(SECTION)}
    try:
        name = parsers.cluster_name(own.get("name", "") or path.name.removesuffix(_ENDING))
        obsids = parsers.observation_ids(own.get("observation_ids", ""))
    except ValueError as error:
        raise ConfigError(f"{path}: [{SECTION}] name or observation_ids {error}") from None
    found = ClusterpyxtConfig(path, name, obsids, {"observation_ids": ", ".join(obsids)}, None)
    found.taken.append(f"{path.name}: observation_ids = {', '.join(obsids)}")
    for key, ours in _SAME.items():
        _take(found, key, own.get(key, ""), ours, given)
    for ours, text in given.items():
        found.texts[ours] = text
        found.changed.append(f"{ours} = {text}, as given")
    return found


def _take(found: ClusterpyxtConfig, key: str, text: str, ours: str, given: Mapping[str, str]) -> None:
    number = _number(text)
    if key == "hydrogen_column_density" and number is not None:
        found.fitted_nH = number / _UNIT_CM2
        if number > _CM2_MIN:
            text = f"{number / _UNIT_CM2:.6g}"
            if ours not in given:
                found.changed.append(f"{key} = {number:g} cm^-2 becomes {text}, in 1e22 cm^-2")
        elif number > 0:
            found.changed.append(
                f"{key} = {text} is taken to be in 1e22 cm^-2; ClusterPyXT's fits divided it by 1e22, so "
                "they were made practically without absorption"
            )
    if ours in given:
        return
    if not text:
        if key != "signal_to_noise":
            found.missing.append(f"{ours}: {found.path.name} has none ({KEYS[ours].comment})")
        else:
            found.changed.append(f"{ours} = {KEYS[ours].default}, ClusterPyXT's default: the file has none")
        return
    try:
        KEYS[ours].parse(text)
    except ValueError as error:
        found.missing.append(f"{ours}: {key} {error} ({KEYS[ours].comment})")
        return
    found.texts[ours] = text
    found.taken.append(f"{found.path.name}: {ours} = {shown(text)}")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

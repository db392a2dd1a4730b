"""The cluster's INI file, read into a frozen dataclass.

The sections ``[cluster_info]`` and ``[processing]`` are those of ClusterPyXT's command line; the other
sections and some keys, such as ``data_directory``, are ours and are optional.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pyxt_hpc.config import hpc, parsers
from pyxt_hpc.config.ini import parse_ini
from pyxt_hpc.config.parsers import ColumnDensity, Integer, Number, boolean, choice
from pyxt_hpc.config.schema import Key, ini_lines, key, read_sections, read_texts, sections_of
from pyxt_hpc.errors import MAX_PROBLEMS, ConfigError
from pyxt_hpc.files.text import read_text, resolved, user_path

log = logging.getLogger(__name__)

RESOLUTION_STEP = {1: 5, 2: 3, 3: 1}
"""Distance [pixels] of the centres of fitted regions in both directions, by resolution."""

MAX_BYTES = 1 << 20
"""Largest size of a configuration file."""

_DENSE = 1.0  # 1e22 cm^-2

_BAND = Number(0.3, 12.0, "keV")
_KT = Number(0.0814, 45.7, "keV")  # range of the plasma table
_ABUNDANCE = Number(0.0, 100.0, "solar")
_COLUMN = Number(0.0, 10.0, "1e22 cm^-2")
_info, _processing, _ciao, _binning, _spectral, _maps = (
    partial(key, section) for section in ("cluster_info", "processing", "ciao", "binning", "spectral", "maps")
)

BIN_METHODS: dict[str, tuple[str, ...]] = {
    "circles": (),
    "contour": ("smallest", "largest", "constraint", "smoothing_signal_to_noise"),
    "voronoi": ("smallest", "largest"),
    "grid": ("grid_side",),
    "annuli": ("smallest", "centre", "axis_ratio", "position_angle", "sectors", "first_sector", "radii"),
    "file": ("file",),
}
"""Methods of `create-bins`, and the keys of ``[binning]`` that affect each of them."""


@dataclass(frozen=True)
class ClusterConfig:
    """One cluster, its observations and the settings of the analysis.

    Attributes are in keV, 1e22 cm^-2 and solar abundances; ``data_directory`` is absolute.
    """

    path: Path
    name: str = _info(parsers.cluster_name, "name of the cluster and of its folder in the data directory")
    observation_ids: tuple[str, ...] = _info(
        parsers.observation_ids,
        "ObsIDs from the Chandra archive (cda.harvard.edu/chaser), separated by commas, e.g. 4940, 4941",
    )
    redshift: float = _info(Number(0.0, 3.0), "the cluster's redshift, from NED (ned.ipac.caltech.edu)")
    nH: float = _info(
        ColumnDensity(0.0, 10.0, _COLUMN.unit, ", e.g. 0.0348"),
        "Galactic hydrogen column, e.g. 0.0348, from HEASARC's nH tool (HI4PI)",
        name="hydrogen_column_density",
    )
    abundance: float = _info(
        Number(0.0, 5.0, "solar"), "metal abundance; 0.3 is typical of clusters", suggestion="0.3"
    )
    signal_to_noise: float = _info(
        Number(3.0, 1000.0),
        "S/N that each circle or adaptive bin must reach; begin with 40 or 50",
        "50",
        name="signal_to_noise_threshold",
    )
    data_directory: Path = _info(Path, "contains the cluster's folder; relative to this file", ".")

    last_step_completed: int = _processing(Integer(0, 7), "a key of ClusterPyXT; read, but not used", "0")
    parallel_processing: bool = _processing(
        boolean, "false: one process, unless --num-cpus or mpirun asks for more", "true"
    )
    num_cpus: int = _processing(Integer(0, 4096), "number of processes; 0: all cores of this machine", "0")
    backend: str = _processing(
        choice("auto", "ciao", "builtin"),
        "tools of stages 1 to 3: ciao; builtin; auto: CIAO, if it is found and raw data or responses need it",
        "auto",
    )
    arf_files: str = _processing(
        str,
        "path of the ARFs in the cluster's folder; {obsid} stands for the ObsID",
        "{obsid}/{obsid}.arf",
    )
    rmf_files: str = _processing(str, "path of the RMFs, as for the ARFs", "{obsid}/{obsid}.rmf")
    response_places: int = _processing(
        Integer(1, 32),
        "number of places, on the chips of each kind, where responses are made; a pixel uses the nearest",
        "1",
    )

    ciao_prefix: str = _ciao(
        parsers.printable,
        "CIAO's folder, if CIAO is neither activated nor in conda's environment ciao",
        "",
        name="prefix",
    )
    ciao_time_limit_h: float = _ciao(
        Number(0.01, 1000.0, "h"), "a tool that takes longer is ended", "12", name="time_limit"
    )
    ciao_downloads: int = _ciao(
        Integer(1, 8), "number of observations downloaded at the same time", "1", name="downloads"
    )
    check_vf_pha: bool = _ciao(
        boolean,
        "true: the outer pixels of VFAINT islands are used to screen events and blank sky",
        "true",
    )
    blank_sky: str = _ciao(
        choice("blanksky", "stowed", "region"),
        "blanksky: CALDB's blank-sky events; stowed: its events of the stowed detector; region: the "
        "observation's own events in background.reg",
        "blanksky",
    )
    detection: str = _ciao(
        choice("builtin", "wavdetect"),
        "how propose-regions finds point sources: builtin or wavdetect",
        "builtin",
    )
    flare_filter: str = _ciao(
        choice("builtin", "deflare"),
        "builtin; deflare: CIAO's deflare cleans the 9-12 keV light curve before the builtin passes do",
        "builtin",
    )

    bin_method: str = _binning(
        choice(*BIN_METHODS),
        "circles; or bins that share no pixel: contour, voronoi, grid, annuli, or those of a file",
        "circles",
        name="method",
    )
    minimum_radius: float = _binning(
        parsers.minimum_radius,
        "smallest radius in pixels of a circle, or of the circle with a bin's area; psf: radius with 90% of "
        "a point source",
        "0",
    )
    signal_to_noise_of: str = _binning(
        choice("net", "counts"),
        "circles: net: S/N of the net counts; counts: of all counts, as in ClusterPyXT since 2022",
        "net",
    )
    smallest: int = _binning(
        Integer(0, 10**9, "pixel"), "contour, voronoi, annuli: smallest area of a bin", "0"
    )
    largest: int = _binning(
        Integer(0, 10**9, "pixel"),
        "contour, voronoi: a bin of this area grows no further, and is left out if its S/N is too low; "
        "0: no limit",
        "0",
    )
    constraint: float = _binning(
        Number(0.0, 100.0),
        "contour: greatest distance of a pixel from its bin's centroid, divided by the radius of a circle "
        "with the bin's area; 0: no limit",
        "2",
    )
    smoothing_signal_to_noise: float = _binning(
        Number(0.0, 1000.0),
        "contour: S/N of the circles that smooth the image; 0: the same S/N as for the bins",
        "0",
    )
    grid_side: int = _binning(Integer(1, 10**4, "pixel"), "grid: side of the squares", "16")
    centre: tuple[float, float] | None = _binning(
        parsers.centre, "annuli: peak (of the smoothed image), or RA, Dec in degrees", "peak"
    )
    axis_ratio: float = _binning(Number(0.05, 1.0), "annuli: ratio of minor to major axis; 1: circles", "1")
    position_angle: float = _binning(
        Number(-360.0, 360.0, "deg"), "annuli: angle of the major axis from north to east", "0"
    )
    sectors: int = _binning(Integer(1, 360), "annuli: number of sectors of equal angle", "1")
    first_sector: float = _binning(
        Number(-360.0, 360.0, "deg"), "annuli: angle where the first sector begins, from north to east", "0"
    )
    radii: tuple[float, ...] = _binning(
        parsers.radii,
        "annuli: semi-major axes of their edges in arcsec, ascending; none: found from the S/N",
        "none",
    )
    bin_file: str = _binning(
        str,
        "file: label image (FITS) or DS9 regions; relative to this file",
        "none",
        name="file",
    )

    energy_min_keV: float = _spectral(_BAND, "lower edge of the band", "0.7", name="energy_min")
    energy_max_keV: float = _spectral(_BAND, "upper edge of the band", "8", name="energy_max")
    absorption: str = _spectral(choice("phabs", "tbabs"), "absorption model: phabs or tbabs", "phabs")
    abundance_table: str = _spectral(
        choice("angr", "aspl", "feld", "aneb", "grsa", "wilm", "lodd"),
        "XSPEC's name of the table: angr (Anders & Grevesse 1989), aspl, feld, aneb, grsa, wilm or lodd",
        "angr",
    )
    minimum_exposure_fraction: float = _spectral(
        Number(0.0, 1.0),
        "an observation takes part in a fit if it saw at least this fraction of the region's brightness",
        "0.09",
    )
    statistic: str = _spectral(
        choice("wstat", "cstat", "chi2gehrels"),
        "wstat; cstat: background taken as known; chi2gehrels: background subtracted, biased, for comparison",
        "wstat",
    )
    spectral_grouping: str = _spectral(
        choice("auto", "resolution", "channels"),
        "auto: 12 to 48 bins, by the background; resolution: half the energy resolution; channels: ungrouped",
        "auto",
        former_name="binning",
    )
    temperature_min_keV: float = _spectral(_KT, "lowest kT that is tried", "0.1", name="temperature_min")
    temperature_max_keV: float = _spectral(_KT, "highest kT that is tried", "40", name="temperature_max")
    free_abundance: bool = _spectral(boolean, "true: fit the abundance too, for metallicity maps", "false")
    abundance_min: float = _spectral(_ABUNDANCE, "lowest value of a free abundance", "0")
    abundance_max: float = _spectral(_ABUNDANCE, "highest value of a free abundance", "3")
    free_nH: bool = _spectral(boolean, "true: fit nH too", "false", name="free_column_density")
    nH_min: float = _spectral(_COLUMN, "lowest value of a free nH", "0", name="column_density_min")
    nH_max: float = _spectral(_COLUMN, "highest value of a free nH", "1", name="column_density_max")

    hpc: tuple[tuple[str, str], ...] = ()
    """Checked keys and texts of ``[hpc]``: defaults for job scripts (`pyxt_hpc.config.hpc`)."""

    hubble_constant: float = _maps(Number(40.0, 100.0, "km/s/Mpc"), "H_0 of a flat universe", "70")
    matter_density: float = _maps(Number(0.01, 1.0), "Omega_m; the rest is Lambda", "0.3")
    abundance_error: float = _maps(
        Number(0.0, 2.0, "solar"),
        "error of a frozen abundance, for the errors of density and all that follows; 0: statistical only",
        "0.1",
    )
    depth_model: str = _maps(
        choice("constant", "beta"),
        "depth along the line of sight: constant; beta: from the best beta model, growing outwards",
        "constant",
    )
    depth_kpc: float = _maps(
        Number(1.0, 1e5, "kpc"), "the constant depth; densities go as depth^-1/2", "1000"
    )

    clusterpyxt_maps: bool = _maps(
        boolean,
        "true: also ClusterPyXT's maps of density, and of pressure and entropy from 0 to 1",
        "false",
    )

    def __post_init__(self) -> None:
        pairs = (
            ("energy", self.energy_min_keV, self.energy_max_keV, "the usual band is 0.7 to 8.0"),
            ("temperature", self.temperature_min_keV, self.temperature_max_keV, "0.1 to 40 holds any gas"),
            ("abundance", self.abundance_min, self.abundance_max, "0 to 3 is usual"),
            ("column_density", self.nH_min, self.nH_max, "0 to 1 is usual"),
        )
        wrong = [
            f"[spectral] {name}_min = {low:g} is not below {name}_max = {high:g}; {advice}"
            for name, low, high, advice in pairs
            if low >= high
        ]
        if self.bin_method == "file" and self.bin_file == "none":
            wrong.append(
                "[binning] method is file, but the key file is none: give a label image or DS9 regions"
            )
        if self.signal_to_noise_of == "counts" and (self.bin_method != "circles" or self.minimum_radius):
            wrong.append(
                "[binning] signal_to_noise_of = counts is for circles without minimum_radius: leave one out"
            )
        if self.smallest and self.largest and self.smallest > self.largest:
            wrong.append(f"[binning] smallest = {self.smallest} is above largest = {self.largest}")
        for name, free, value, low, high in (
            ("abundance", self.free_abundance, self.abundance, self.abundance_min, self.abundance_max),
            ("hydrogen_column_density", self.free_nH, self.nH, self.nH_min, self.nH_max),
        ):
            if free and not low <= value <= high:
                wrong.append(
                    f"[cluster_info] {name} = {value:g} is outside its bounds in [spectral], {low:g} to "
                    f"{high:g}"
                )
        if wrong:
            raise ConfigError.of_several(str(self.path), wrong)

    @property
    def bins(self) -> str:
        """Settings that affect the regions, besides bundle and S/N, in one line; empty for plain circles."""
        chosen = [*BIN_METHODS[self.bin_method], *(["minimum_radius"] if self.minimum_radius else [])]
        chosen += ["signal_to_noise_of"] if self.signal_to_noise_of != "net" else []
        texts = [f"{name} {_text(getattr(self, KEYS[name].attribute))}" for name in chosen]
        return ", ".join([self.bin_method, *texts]) if texts else ""

    @property
    def cluster_directory(self) -> Path:
        """Folder ``<data directory>/<name>`` with all files of this cluster."""
        return self.data_directory / self.name


def _text(value: object) -> str:
    """Text of a value of ``[binning]``, with blanks between numbers."""
    if isinstance(value, tuple):
        return " ".join(map(_text, value)) or "none"
    if value is None:
        return "peak"  # only the key centre can be None
    if value == parsers.PSF:  # only minimum_radius can have this value
        return "psf"
    # All digits are kept, since a slightly different centre gives other regions.
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


SECTIONS: dict[str, dict[str, Key]] = sections_of(ClusterConfig)
"""Keys of a configuration, without those of ``[hpc]``."""
KEYS = {name: one for keys in SECTIONS.values() for name, one in keys.items()}
"""The same keys by name only, since no two sections have the same name of a key."""


def parse_value(attribute: str, text: str) -> Any:
    """Value of an attribute of `ClusterConfig` from the text of its key.

    Raises ValueError, which says what was found and what is expected.
    """
    (found,) = (one for one in KEYS.values() if one.attribute == attribute)
    return found.parse(text)


def parse_keys(values: Mapping[str, object]) -> dict[str, Any]:
    """Attributes of `ClusterConfig` from values by the names of their keys.

    Raises ConfigError, which names all unknown keys and all values out of range.
    """
    attributes, problems = read_texts({name: str(value) for name, value in values.items()}, KEYS)
    if problems:
        raise ConfigError("; ".join(problems))
    return attributes


def warn_of_column(nH: float, where: str) -> None:
    """Warn in the log if an absorbing column is so dense that its unit is probably wrong."""
    if nH > _DENSE:
        log.warning(
            "%s is %g, in 1e22 cm^-2: such a dense column is found only near the Galactic plane; for %ge20 "
            "cm^-2 write %g",
            where,
            nH,
            nH,
            nH / 100,
        )


def read_config(path: str | os.PathLike[str]) -> ClusterConfig:
    """Read and check a cluster's INI file.

    Raises MissingInput if there is no such file; DamagedFile if it is not a readable text file; ConfigError
    if it is not an INI file, or if keys are unknown, missing or out of range: the message names all of them.
    """
    path = Path(path)
    text = read_text(path, "`pyxt-hpc init-cluster NAME` writes a configuration", max_bytes=MAX_BYTES)
    return config_from(text, path)


def config_from(text: str, path: Path) -> ClusterConfig:
    """Configuration from the text of a file; the file at `path` need not exist yet.

    Raises ConfigError as `read_config` does.
    """
    contents = read_sections(
        parse_ini(text, path, "an INI file"), path, {**SECTIONS, hpc.SECTION: hpc.CONFIG_KEYS}
    )
    values = {
        attribute: value
        for section in SECTIONS
        for attribute, value in contents.values.get(section, {}).items()
    }
    problems = contents.problems + [
        f"[{section}] {name} is missing ({one.comment})"
        for section, keys in SECTIONS.items()
        for name, one in keys.items()
        if one.default is None and not contents.texts.get(section, {}).get(name)
    ]
    if problems:
        raise ConfigError.of_several(str(path), problems[:MAX_PROBLEMS])
    values["hpc"] = tuple(contents.texts.get(hpc.SECTION, {}).items())
    directory = user_path(str(values.get("data_directory", ".")))
    values["data_directory"] = resolved(resolved(path).parent / directory)
    warn_of_column(values["nH"], f"{path}: [cluster_info] hydrogen_column_density")
    return ClusterConfig(path=path, **values)


def config_template(name: str, texts: Mapping[str, str] | None = None) -> str:
    """Text of a new configuration file for a cluster; its first line names the keys that must be filled in.

    Parameters
    ----------
    name
        Name of the cluster.
    texts
        Texts of keys, by name, that replace the defaults.

    Raises
    ------
    ConfigError
        If `name` is not valid as the name of a folder in CIAO's file stacks.
    """
    try:
        parsers.cluster_name(name)
    except ValueError as error:
        raise ConfigError(f"the cluster's name {error}") from None
    # The key is left out, since records of the steps show which steps are complete.
    sections = {
        section: {name: one for name, one in keys.items() if name != "last_step_completed"}
        for section, keys in SECTIONS.items()
    }
    texts = {"name": name, **(texts or {})}
    empty = [one.name for one in KEYS.values() if one.is_needed and not texts.get(one.name)]
    to_do = f": fill in {', '.join(empty)}" if empty else ""
    return "\n".join([f"# pyxt_hpc configuration of {name}{to_do}", *ini_lines(sections, texts)]) + "\n"

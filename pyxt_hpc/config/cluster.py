"""The cluster's INI file, read once into a frozen dataclass in the units of the field.

The sections ``[cluster_info]`` and ``[processing]`` and their keys are those of ClusterPyXT's command
line; ``data_directory`` and the sections ``[spectral]`` and ``[hpc]`` are ours and may be left out.
"""

import configparser
import difflib
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from pyxt_hpc.config.hpc import SECTION as HPC_SECTION
from pyxt_hpc.config.hpc import choice, problems_of
from pyxt_hpc.config.ini import parsed
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted, shown
from pyxt_hpc.files.text import read_text, resolved, user_path

log = logging.getLogger(__name__)

RESOLUTION_STEP = {1: 5, 2: 3, 3: 1}
"""Resolution: the centres of fitted regions are this many pixels apart in both directions."""

MAX_BYTES = 1 << 20
"""Of a configuration."""

_MOST_PROBLEMS = 20
"""Named in one message."""

_DENSE = 1.0  # 1e22 cm^-2
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_LONGEST_NAME = 100


def _number(low: float, high: float, unit: str, hint: str = "") -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"is {quoted(text)}, expected a number{unit and f' in {unit}'}{hint}") from None
        if not low <= value <= high:
            raise ValueError(f"is {shown(text)}, expected {low:g} to {high:g}{unit and f' {unit}'}{hint}")
        return value

    return parse


def _column_density(text: str) -> float:
    unit = "1e22 cm^-2"
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"is {quoted(text)}, expected a number in {unit}, e.g. 0.0348") from None
    if 1e15 < value < float("inf"):
        raise ValueError(f"is in {unit}; found {shown(text)}: did you mean {value / 1e22:.4g}?")
    return _number(0.0, 10.0, unit)(text)


def integer(low: int, high: int) -> Callable[[str], int]:
    """Parser of whole numbers in a range; it raises ValueError."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"is {quoted(text)}, expected a whole number from {low} to {high}")
        return int(text)

    return parse


def _boolean(text: str) -> bool:
    states = configparser.ConfigParser.BOOLEAN_STATES
    if text.lower() not in states:
        raise ValueError(f"is {quoted(text)}, expected true or false")
    return states[text.lower()]


def _cluster_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"is {quoted(text)}, expected letters, digits and any of _ . + - (no blanks), e.g. A1795"
        )
    if len(text) > _LONGEST_NAME:
        raise ValueError(f"is {quoted(text)}, expected at most {_LONGEST_NAME} letters: it begins file names")
    return text


def _obsids(text: str) -> tuple[str, ...]:
    found = [part for part in re.split(r"[,\s]+", text) if part]
    wrong = [part for part in found if not re.fullmatch(r"\d{1,5}", part)]
    if wrong:
        raise ValueError(
            f"holds {shown(', '.join(wrong))}, expected numbers of up to 5 digits, e.g. 4940, 4941"
        )
    obsids = tuple(part.lstrip("0") or "0" for part in found)
    if len(set(obsids)) < len(obsids):
        raise ValueError(f"names an observation twice: {shown(text)}")
    return obsids


def _key(
    section: str,
    parse: Callable[[str], Any],
    comment: str,
    *,
    key: str | None = None,
    default: Any = MISSING,
    template: str | None = None,
) -> Any:
    metadata = {"section": section, "parse": parse, "comment": comment, "key": key, "template": template}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ClusterConfig:
    """One cluster, its observations and how they are to be analysed.

    Attributes are in keV, 1e22 cm^-2 and solar abundances; ``data_directory`` is absolute.
    """

    path: Path
    name: str = _key(
        "cluster_info", _cluster_name, "the cluster's folder in the data directory has this name"
    )
    observation_ids: tuple[str, ...] = _key(
        "cluster_info",
        _obsids,
        "comma-separated, from the Chandra archive (cda.harvard.edu/chaser), e.g. 4940, 4941",
    )
    redshift: float = _key("cluster_info", _number(0.0, 3.0, ""), "from NED (ned.ipac.caltech.edu)")
    nH: float = _key(
        "cluster_info",
        _column_density,
        "Galactic column in 1e22 cm^-2, e.g. 0.0348, from HEASARC's nH tool (HI4PI)",
        key="hydrogen_column_density",
    )
    abundance: float = _key(
        "cluster_info", _number(0.0, 5.0, "solar"), "solar; 0.3 is typical of clusters", template="0.3"
    )
    signal_to_noise: float = _key(
        "cluster_info",
        _number(3.0, 1000.0, ""),
        "S/N every adaptive circle must reach; 40 or 50 to start with",
        key="signal_to_noise_threshold",
        default=50.0,
    )
    data_directory: Path = _key(
        "cluster_info",
        Path,
        "holds the cluster's folder; relative to this file",
        default=Path("."),
    )
    last_step_completed: int = _key(
        "processing", integer(0, 7), "of ClusterPyXT; read, but neither used nor written", default=0
    )
    parallel_processing: bool = _key(
        "processing", _boolean, "false: one process unless --num-cpus or mpirun says otherwise", default=True
    )
    num_cpus: int = _key("processing", integer(0, 4096), "0 = all cores of this machine", default=0)
    arf_files: str = _key(
        "processing",
        str,
        "where the ARFs are in the cluster's folder; {obsid} stands for the ObsID",
        default="{obsid}/{obsid}.arf",
    )
    rmf_files: str = _key("processing", str, "... and the RMFs", default="{obsid}/{obsid}.rmf")
    energy_min_keV: float = _key(
        "spectral", _number(0.3, 12.0, "keV"), "lower edge of the band in keV", key="energy_min", default=0.7
    )
    energy_max_keV: float = _key(
        "spectral", _number(0.3, 12.0, "keV"), "upper edge of the band in keV", key="energy_max", default=8.0
    )
    absorption: str = _key(
        "spectral", choice("phabs", "tbabs"), "absorption model: phabs or tbabs", default="phabs"
    )
    abundance_table: str = _key(
        "spectral",
        choice("angr", "aspl", "feld", "aneb", "grsa", "wilm", "lodd"),
        "XSPEC's name of the abundance table; angr = Anders & Grevesse 1989",
        default="angr",
    )
    minimum_exposure_fraction: float = _key(
        "spectral",
        _number(0.0, 1.0, ""),
        "an observation enters a fit when it saw this share of the circle's brightness",
        default=0.09,
    )
    statistic: str = _key(
        "spectral",
        choice("wstat", "cstat", "chi2gehrels"),
        "wstat; cstat: background taken as known; chi2gehrels: subtracted, biased, for comparison",
        default="wstat",
    )
    binning: str = _key(
        "spectral",
        choice("auto", "resolution", "channels"),
        "bins as wide as the background's counts ask for; of half the resolution; channels",
        default="auto",
    )
    temperature_min_keV: float = _key(
        "spectral",
        _number(0.081, 45.7, "keV"),
        "kT is searched from here",
        key="temperature_min",
        default=0.1,
    )
    temperature_max_keV: float = _key(
        "spectral", _number(0.081, 45.7, "keV"), "... to here", key="temperature_max", default=40.0
    )
    free_abundance: bool = _key(
        "spectral", _boolean, "true: fit the abundance too, for metallicity maps", default=False
    )
    abundance_min: float = _key(
        "spectral", _number(0.0, 100.0, "solar"), "a free abundance is searched from here", default=0.0
    )
    abundance_max: float = _key("spectral", _number(0.0, 100.0, "solar"), "... to here", default=3.0)
    free_nH: bool = _key("spectral", _boolean, "true: fit nH too", key="free_column_density", default=False)
    nH_min: float = _key(
        "spectral",
        _number(0.0, 10.0, "1e22 cm^-2"),
        "a free nH is searched from here",
        key="column_density_min",
        default=0.0,
    )
    nH_max: float = _key(
        "spectral", _number(0.0, 10.0, "1e22 cm^-2"), "... to here", key="column_density_max", default=1.0
    )
    hpc: tuple[tuple[str, str], ...] = ()
    """Keys and texts of ``[hpc]``, checked: defaults of job scripts (`pyxt_hpc.config.hpc`)."""

    hubble_constant: float = _key(
        "maps", _number(40.0, 100.0, "km/s/Mpc"), "H_0 in km/s/Mpc of a flat universe", default=70.0
    )
    matter_density: float = _key("maps", _number(0.01, 1.0, ""), "Omega_m; the rest is Lambda", default=0.3)
    abundance_error: float = _key(
        "maps",
        _number(0.0, 2.0, "solar"),
        "of a frozen abundance, for the errors of density and what follows; 0: statistical only",
        default=0.1,
    )
    depth_model: str = _key(
        "maps",
        choice("constant", "beta"),
        "depth of the gas along the line of sight: constant, or of the best beta-model",
        default="constant",
    )
    depth_kpc: float = _key(
        "maps",
        _number(1.0, 1e5, "kpc"),
        "the constant depth in kpc; densities go as depth^-1/2",
        default=1000.0,
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
        for name, free, value, low, high in (
            ("abundance", self.free_abundance, self.abundance, self.abundance_min, self.abundance_max),
            ("hydrogen_column_density", self.free_nH, self.nH, self.nH_min, self.nH_max),
        ):
            if free and not low <= value <= high:
                wrong.append(f"[cluster_info] {name} = {value:g} is outside its bounds {low:g} to {high:g}")
        if wrong:
            raise ConfigError(f"{self.path}: {'; '.join(wrong)}")

    @property
    def cluster_directory(self) -> Path:
        """Folder ``<data directory>/<name>`` that holds everything of this cluster."""
        return self.data_directory / self.name


def _schema() -> dict[tuple[str, str], Field]:
    return {
        (f.metadata["section"], f.metadata["key"] or f.name): f for f in fields(ClusterConfig) if f.metadata
    }


def parse_value(name: str, text: str) -> Any:
    """What a text means for an attribute of `ClusterConfig`, by the rules of its key.

    Raises
    ------
    ValueError
        Says what it is and what is expected.
    """
    (field_of_key,) = (f for f in fields(ClusterConfig) if f.name == name)
    return field_of_key.metadata["parse"](text)


def parse_keys(values: Mapping[str, object]) -> dict[str, Any]:
    """Attributes of `ClusterConfig` from values by the names of their keys in the INI file.

    Raises
    ------
    ConfigError
        If a key is unknown or a value is out of range; all are named together.
    """
    schema = {key: f for (_, key), f in _schema().items()}
    parsed_values: dict[str, Any] = {}
    problems = []
    for key, value in values.items():
        if key not in schema:
            problems.append(f"{shown(key)} is unknown{_suggestion(key, set(schema))}")
            continue
        try:
            parsed_values[schema[key].name] = schema[key].metadata["parse"](str(value))
        except ValueError as error:
            problems.append(f"{key} {error}")
    if problems:
        raise ConfigError("; ".join(problems))
    return parsed_values


def warn_of_column(nH: float, where: str) -> None:
    """A line in the log if an absorbing column is so dense that its unit may be mistaken."""
    if nH > _DENSE:
        log.warning(
            "%s is %g, in 1e22 cm^-2: so dense a column is only found near the Galactic plane; for %ge20 "
            "cm^-2 write %g",
            where,
            nH,
            nH,
            nH / 100,
        )


def read_config(path: str | os.PathLike[str]) -> ClusterConfig:
    """Read and check a cluster's INI file.

    Raises
    ------
    MissingInput
        If there is no such file.
    DamagedFile
        If it is not a text file that can be read.
    ConfigError
        If it is not an INI file or any key is unknown, missing or out of range; all are named together.
    """
    path = Path(path)
    text = read_text(path, "`pyxt-hpc init-cluster NAME` writes a configuration", most_bytes=MAX_BYTES)
    parser = parsed(text, path, "an INI file")
    schema = _schema()
    problems = _unknown_keys(parser, schema)
    values: dict[str, Any] = {}
    for (section, key), f in schema.items():
        text = parser.get(section, key, fallback="").strip()
        if text:
            try:
                values[f.name] = f.metadata["parse"](text)
            except ValueError as error:
                problems.append(f"[{section}] {key} {error}")
        elif f.default is MISSING:
            problems.append(f"[{section}] {key} is missing ({f.metadata['comment']})")
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems[:_MOST_PROBLEMS])}")
    if parser.has_section(HPC_SECTION):
        values["hpc"] = tuple(parser.items(HPC_SECTION))
    directory = user_path(str(values.get("data_directory", ".")))
    values["data_directory"] = resolved(resolved(path).parent / directory)
    warn_of_column(values["nH"], f"{path}: [cluster_info] hydrogen_column_density")
    return ClusterConfig(path=path, **values)


def _unknown_keys(parser: configparser.ConfigParser, schema: Mapping[tuple[str, str], Field]) -> list[str]:
    problems: list[str] = []
    sections = {section for section, _ in schema}
    for section in parser.sections():
        if len(problems) > _MOST_PROBLEMS:
            break  # to look for what was meant takes time
        if section == HPC_SECTION:
            problems += problems_of({k: text for k, text in parser.items(section) if k != "site"})
        elif section not in sections:
            problems.append(
                f"section [{shown(section)}] is unknown{_suggestion(section, {*sections, HPC_SECTION})}"
            )
        else:
            known = {key for s, key in schema if s == section}
            problems += [
                f"[{section}] {shown(key)} is unknown{_suggestion(key, known)}"
                for key in [key for key in parser.options(section) if key not in known][:_MOST_PROBLEMS]
            ]
    return problems


def _suggestion(word: str, known: set[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(sorted(known))})"


def config_template(name: str) -> str:
    """Text of a new configuration file for cluster `name`; keys left empty must be filled in.

    Raises
    ------
    ConfigError
        If `name` cannot be a folder's name that CIAO's file stacks carry.
    """
    try:
        _cluster_name(name)
    except ValueError as error:
        raise ConfigError(f"the cluster's name {error}") from None
    lines = [f"# pyxt_hpc configuration of {name}: fill in what is empty"]
    section = ""
    for (in_section, key), f in _schema().items():
        if key == "last_step_completed":
            continue  # what is done is known from the records of the steps: nobody has to keep count
        if in_section != section:
            section = in_section
            lines += ["", f"[{section}]"]
        value = name if key == "name" else f.metadata["template"] or _as_text(f.default)
        lines.append(f"{f'{key} = {value}'.rstrip():<36}  # {f.metadata['comment']}")
    return "\n".join(lines) + "\n"


def _as_text(value: Any) -> str:
    if value is MISSING:
        return ""
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )

"""Inputs of stages 5 to 7: the bundle, scale map and regions of a configuration, with checks."""

import logging
from collections.abc import Container, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxt_hpc.binning.circles import RADIUS_MAX, RADIUS_MIN, RADIUS_STEP
from pyxt_hpc.bundle import Bundle, read_bundle
from pyxt_hpc.config.cluster import KEYS, ClusterConfig, parse_keys
from pyxt_hpc.errors import ConfigError, DamagedFile, ForeignProduct
from pyxt_hpc.files.quoting import several
from pyxt_hpc.fit.region_map import RegionMap, RegionSet
from pyxt_hpc.layout import Layout
from pyxt_hpc.provenance import fingerprint, software
from pyxt_hpc.spectra.fit import FitOptions
from pyxt_hpc.spectra.templates import SourceModel
from pyxt_hpc.steps import changed_since
from pyxt_hpc.store.reader import Results

if TYPE_CHECKING:  # ranks that fit do not need it, and start faster without it
    from pyxt_hpc.fit.brightness.sky import SkyBrightness

log = logging.getLogger(__name__)

IN_BOTH = (
    "name",
    "redshift",
    "nH",
    "abundance",
    "absorption",
    "abundance_table",
    "energy_min_keV",
    "energy_max_keV",
)
"""Values of the configuration that the bundle also contains, for use on other machines."""


NO_CONFIGURATION = Path("CONFIG")
"""Placeholder in messages if a bundle is used without a configuration, as in ``-c CONFIG``."""


def config_of(bundle: Bundle, settings: Mapping[str, Any] | None = None) -> ClusterConfig:
    """Make a configuration for a bundle, without a file.

    Parameters
    ----------
    settings
        Settings of fits as in the results store (`fit_settings`); None: defaults.
    """
    own: dict[str, Any] = {}
    if settings is not None:
        same = {name: name for name in ("signal_to_noise", "minimum_exposure_fraction", "statistic")}
        same["spectral_grouping"] = "binning"
        own = {name: settings[key] for name, key in same.items() if settings[key] is not None}
        own["temperature_min_keV"], own["temperature_max_keV"] = settings["kT_bounds"]
        for name in ("abundance", "nH"):
            if (bounds := settings[f"{name}_bounds"]) is not None:
                own[f"free_{name}"] = True
                own[f"{name}_min"], own[f"{name}_max"] = bounds
    return ClusterConfig(
        path=NO_CONFIGURATION,
        observation_ids=bundle.obsids,
        data_directory=Path(),
        **{name: getattr(bundle, name) for name in IN_BOTH},
        **own,
    )


OF_FITS = ("spectral",)
"""Sections of the configuration with the settings of fits, for `with_settings`."""


def with_settings(
    config: ClusterConfig, settings: Mapping[str, object], sections: Container[str] | None = None
) -> ClusterConfig:
    """The configuration with other values for some keys.

    Parameters
    ----------
    settings
        Values by the names of keys in the INI file, such as ``free_abundance``.
    sections
        Sections whose keys have an effect where they are given; None: all.

    Raises
    ------
    ConfigError
        If a key is unknown or of another section, its value is out of range, or the bundle was made with it.
    """
    values = parse_keys(settings)
    if fixed := [name for name in values if name in (*IN_BOTH, "observation_ids", "data_directory")]:
        raise ConfigError(
            f"{', '.join(fixed)}: the bundle was made with its value; change the configuration and run "
            "`pyxt-hpc crop-data -c CONFIG`"
        )
    if sections is not None:
        for name in settings:
            if (section := KEYS[name].section) not in sections:
                raise ConfigError(f"{name} is a key of [{section}], which has no effect here: leave it out")
    return replace(config, **values)


def read_cluster_bundle(config: ClusterConfig) -> Bundle:
    """Read the bundle and compare it with the configuration.

    Raises
    ------
    MissingInput, DamagedFile
        If it is missing or unreadable.
    ForeignProduct
        If the configuration has been changed since; the message lists the differences.
    """
    path = Layout.of(config).bundle
    bundle = read_bundle(path, made_by=f"pyxt-hpc run -c {config.path} --through crop-data")
    differing = [
        f"{key} is {getattr(bundle, key)} there, {getattr(config, key)} in {config.path}"
        for key in IN_BOTH
        if getattr(bundle, key) != getattr(config, key)
    ]
    if bundle.obsids != config.observation_ids:
        ours, theirs = (", ".join(obsids) for obsids in (bundle.obsids, config.observation_ids))
        differing.append(f"its observations are {ours}, not {theirs}")
    if differing:
        raise ForeignProduct(
            f"{path}: {'; '.join(differing)}: run `pyxt-hpc crop-data -c {config.path}` again"
        )
    for drawn in changed_since(Layout.of(config).step_record("crop-data"), ".reg"):
        log.warning(
            "%s: changed after the bundle was made; `pyxt-hpc run -c %s` makes the bundle again with it",
            drawn,
            config.path,
        )
    return bundle


def check_bundle(results: Results, bundle: Bundle, path: Path, config: ClusterConfig) -> None:
    """Refuse results that were fitted from another bundle.

    Raises
    ------
    ForeignProduct
        If the bundles differ; `path` is the file of the results, for the message.
    """
    fitted = results.settings["bundle"]
    if fitted != bundle.fingerprint:
        raise ForeignProduct(
            f"{path}: fitted from bundle {fitted[:16]}, but the bundle now is {bundle.fingerprint[:16]}: run "
            f"`pyxt-hpc fit-spectra -c {config.path}` again"
        )


_OF_FITS = (
    *("statistic", "spectral_grouping", "minimum_exposure_fraction", "signal_to_noise"),
    *("temperature_min_keV", "temperature_max_keV", "free_abundance", "free_nH"),
)
"""Attributes of a configuration that affect the fits and are not in the bundle."""


def changed_settings(config: ClusterConfig, fitted_with: ClusterConfig) -> dict[str, tuple[Any, Any]]:
    """Keys with different values in the fits and the configuration, with both values."""
    decisive = list(_OF_FITS)
    for name in ("abundance", "nH"):
        if getattr(config, f"free_{name}") and getattr(fitted_with, f"free_{name}"):
            decisive += [f"{name}_min", f"{name}_max"]
    names = {key.attribute: name for name, key in KEYS.items()}
    values = {names[one]: (getattr(fitted_with, one), getattr(config, one)) for one in decisive}
    return {name: (then, now) for name, (then, now) in values.items() if then != now}


def warn_of_changed_settings(results: Results, bundle: Bundle, path: Path, config: ClusterConfig) -> None:
    """Log a warning if the configuration has other settings than the fits that are shown."""
    changed = changed_settings(config, config_of(bundle, results.settings))
    if changed:
        log.warning(
            "%s: the fits were made with other settings than those of %s now (%s): to fit again, run "
            "`pyxt-hpc fit-spectra -c %s`",
            path,
            config.path,
            ", ".join(f"{name} {then}, now {now}" for name, (then, now) in changed.items()),
            config.path,
        )


def scale_map_settings(config: ClusterConfig) -> dict[str, float | str | None]:
    """Settings on which the regions depend, other than the bundle, as keywords for headers of maps."""
    return {"SNTARGET": config.signal_to_noise, "BINNING": config.bins or None}


def read_region_map(config: ClusterConfig, bundle: Bundle) -> RegionMap:
    """Read the regions of this bundle for the configured method and S/N.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct
        If the maps of stage 5 are missing, unreadable, or made from another bundle or with other settings.
    """
    if config.bin_method == "circles":
        return RegionMap(read_scale_map(config, bundle))
    path = Layout.of(config).region_index_map
    labels = read_bin_image(path, config, bundle)
    dead = int(np.count_nonzero(labels[bundle.mask == 0]))
    if labels.dtype != np.int32 or labels.min() < 0 or dead:
        raise DamagedFile(
            f"{path}: expected numbers of bins on live pixels and 0 elsewhere, as int32; found "
            f"{labels.dtype} from {labels.min():g} to {labels.max():g}, other than 0 on "
            f"{several(dead, 'dead pixel')}: run `{_made_by(config)}` again"
        )
    return RegionMap.of_labels(labels)


def read_scale_map(config: ClusterConfig, bundle: Bundle) -> np.ndarray:
    """Read the scale map of this bundle and S/N: (ny, nx) radii [pixels], 0 without a region.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct
        If it is missing, unreadable, or made from another bundle or for another S/N.
    """
    path = Layout.of(config).scale_map
    radius = read_bin_image(path, config, bundle)
    if wrong := _wrong_radii(radius, bundle.mask):
        raise DamagedFile(f"{path}: {wrong}: run `{_made_by(config)}` again")
    return radius


def _made_by(config: ClusterConfig) -> str:
    return f"pyxt-hpc create-bins -c {config.path}"


def read_bin_image(path: Path, config: ClusterConfig, bundle: Bundle) -> np.ndarray:
    """Read an image (ny, nx) of stage 5; raises as `read_scale_map`."""
    from pyxt_hpc.images import read_image  # needs astropy, unlike ranks that fit

    return read_image(
        path,
        made_by=_made_by(config),
        bundle_fingerprint=bundle.fingerprint,
        shape=bundle.mask.shape,
        settings=scale_map_settings(config),
    )


def _wrong_radii(radius: np.ndarray, mask: np.ndarray) -> str:
    """Problem of an invalid scale map; empty if it is valid."""
    if radius.dtype != np.float32:
        return f"its pixels are {radius.dtype}, expected float32"
    steps = (radius - RADIUS_MIN) / RADIUS_STEP
    allowed = (radius >= RADIUS_MIN) & (radius <= RADIUS_MAX) & (steps == np.round(steps))
    wrong = ~(allowed & (mask > 0)) & (radius != 0)  # also true for NaN
    if not wrong.any():
        return ""
    rows, cols = np.nonzero(wrong)
    return (
        f"expected radii of 0, or of {RADIUS_MIN:g} to {RADIUS_MAX:g} pixels in steps of {RADIUS_STEP:g} on "
        f"live pixels; found {several(len(rows), 'pixel')} with another radius, the first "
        f"{radius[rows[0], cols[0]]:g} at row {rows[0]}, column {cols[0]}"
    )


def fit_options(config: ClusterConfig) -> FitOptions:
    """Options of the fits, from the configuration."""
    return FitOptions(
        statistic=config.statistic,
        abundance=config.abundance,
        abundance_bounds=(config.abundance_min, config.abundance_max) if config.free_abundance else None,
        nH_bounds=(config.nH_min, config.nH_max) if config.free_nH else None,
        kT_bounds=(config.temperature_min_keV, config.temperature_max_keV),
    )


def fit_settings(
    config: ClusterConfig, bundle: Bundle, sky: "SkyBrightness", resolution: int, *, bins: bool = False
) -> dict[str, Any]:
    """All settings on which the results depend; resuming with other values is refused.

    With `bins`, the regions are bins of a label image.
    """
    return {
        "bundle": bundle.fingerprint,
        "resolution": resolution,
        "signal_to_noise": config.signal_to_noise,
        "minimum_exposure_fraction": config.minimum_exposure_fraction,
        "nH": bundle.nH,
        "redshift": bundle.redshift,
        "absorption": bundle.absorption,
        "abundance_table": bundle.abundance_table,
        "binning": config.spectral_grouping,  # the former name of the key, for existing stores
        "parts_of_circles_weighted_by": sky.origin,
        **{name: list(v) if isinstance(v, tuple) else v for name, v in asdict(fit_options(config)).items()},
        "software": software(),
        **({"bins": config.bins or "label image"} if bins else {}),
    }


def fit_fingerprint(settings: Mapping[str, Any], regions: RegionSet) -> str:
    """Fingerprint of settings and regions, which is the same for parts of a whole."""
    pixels = {f"runs/{name}": array for name, array in vars(regions.runs).items()} if regions.runs else {}
    return fingerprint({**settings, "regions": regions.table, **pixels})


def source_model(bundle: Bundle) -> SourceModel:
    """Source model with the values of the bundle."""
    return SourceModel(bundle.redshift, bundle.nH, bundle.absorption, bundle.abundance_table)

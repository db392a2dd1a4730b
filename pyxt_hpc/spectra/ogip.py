"""From an OGIP spectrum file and the files it names to what a fit takes."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.pha import Pha, read_pha, with_gz
from pyxt_hpc.chandra.response import Arf, Rmf, check_match, read_arf, read_rmf
from pyxt_hpc.errors import ConfigError, EmptySelection, MissingInput, ResponseMismatch
from pyxt_hpc.spectra.grouping import bin_lookup, channel_bins, resolution_bins
from pyxt_hpc.spectra.spectrum import Spectrum

log = logging.getLogger(__name__)

GROUPINGS = ("file", "resolution", "none")
NO_FILE = "none"
"""Instead of a path: do without, whatever the spectrum's header says."""

# Sums over channels of a redistribution matrix without effective area do not exceed 1 by more.
_PROBABILITY = 1.5


def load_spectrum(
    path: Path | str,
    *,
    energy_min: float,
    energy_max: float,
    background: Path | str | None = None,
    arf: Path | str | None = None,
    rmf: Path | str | None = None,
    grouping: str | None = None,
) -> Spectrum:
    """Load a spectrum with its background and responses.

    Parameters
    ----------
    path : Path
        Type I spectrum.
    energy_min, energy_max : float
        Band [keV]. A bin that lies partly outside is left out as a whole, as in Sherpa after
        ``ignore(None, energy_min); ignore(energy_max, None)``.
    background, arf, rmf : Path, optional
        Files to use instead of those that BACKFILE, ANCRFILE and RESPFILE name, relative to the
        spectrum's folder. A background of "none" is none: counts 0 with a ratio of 1, and cstat is the
        statistic that applies. No ARF is needed if the RMF contains the effective area.
    grouping : {"file", "resolution", "none"}, optional
        Bins by GROUPING of the spectrum, by the detector's resolution, or one of each channel. Default:
        "file" if the spectrum is grouped, else "resolution". Channels of bad QUALITY in source or
        background are left out of their bins.

    Raises
    ------
    MissingInput
        A file is not there, or not named.
    DamagedFile
        A file cannot be what it should be.
    ResponseMismatch
        Spectrum, background and responses have other channels or energies.
    ConfigError
        Unknown grouping, or "file" for a spectrum without.
    EmptySelection
        No bin of good channels lies in the band.
    """
    pha = read_pha(Path(path))
    redistribution = _rmf(pha, rmf)
    area = _arf(pha, arf, redistribution)
    sky = _background(pha, background)
    if len(pha.counts) != redistribution.n_channels:
        raise ResponseMismatch(
            f"{pha.path} has {len(pha.counts)} channels, its RMF {redistribution.n_channels}; "
            "use the RMF made for this spectrum"
        )
    good = pha.quality == 0
    counts, ratio = np.zeros(len(pha.counts)), 1.0
    if sky is not None:
        if len(sky.counts) != len(pha.counts):
            raise ResponseMismatch(
                f"{sky.path} has {len(sky.counts)} channels, {pha.path} {len(pha.counts)}; "
                "use a background of the same channels"
            )
        good &= sky.quality == 0
        counts, ratio = sky.counts, sky.area_time / pha.area_time
    return Spectrum(
        name=pha.path.name.removesuffix(".gz").removesuffix(".pi").removesuffix(".pha"),
        counts=pha.counts,
        background=counts,
        exposure_s=pha.exposure_s,
        ratio=ratio,
        arf=Arf(area.energy_lo, area.energy_hi, area.area * pha.areascal),
        rmf=redistribution,
        bin_of_channel=_bins(pha, redistribution, good, grouping, energy_min, energy_max),
    )


def _chosen(given: Path | str | None, named: Path | None) -> Path | None:
    """The file given, else the one that the spectrum's header names."""
    if given is None:
        return named
    return None if str(given).lower() == NO_FILE else Path(given)


def _rmf(pha: Pha, given: Path | str | None) -> Rmf:
    path = _chosen(given, pha.rmf_file)
    if path is None:
        raise MissingInput(f"{pha.path}: RESPFILE names no response; give the RMF")
    return read_rmf(with_gz(path))


def _arf(pha: Pha, given: Path | str | None, rmf: Rmf) -> Arf:
    path = _chosen(given, pha.arf_file)
    if path is not None:
        arf = read_arf(with_gz(path))
        check_match(arf, rmf, str(path), f"the RMF of {pha.path}")
        return arf
    largest = float(rmf.to_sparse().sum(axis=1).max())
    if largest < _PROBABILITY:
        raise MissingInput(
            f"{pha.path}: ANCRFILE names no effective area, and the RMF holds none "
            f"(its rows add up to at most {largest:.3g}, expected cm^2); give the ARF"
        )
    log.info("%s: the RMF holds the effective area, up to %.4g cm^2; no ARF is used", pha.path, largest)
    return Arf(rmf.energy_lo, rmf.energy_hi, np.ones(len(rmf.energy_lo)))


def _background(pha: Pha, given: Path | str | None) -> Pha | None:
    path = _chosen(given, pha.background_file)
    if path is None:
        log.warning("%s: no background spectrum; cstat is the statistic that applies", pha.path)
        return None
    if given is None and not path.is_file():
        raise MissingInput(
            f"{path}: background spectrum not found, BACKFILE of {pha.path} names it; "
            f"bring it there, give another, or give {NO_FILE!r} to fit without"
        )
    return read_pha(path)


def _bins(
    pha: Pha, rmf: Rmf, good: NDArray[np.bool_], grouping: str | None, energy_min: float, energy_max: float
) -> NDArray[np.int16]:
    """Bin of each channel, -1 outside: the bins of good channels that lie wholly in the band."""
    if grouping is None:
        grouping = "resolution" if pha.grouping is None else "file"
    if grouping not in GROUPINGS:
        raise ConfigError(f"grouping: found {grouping!r}, expected one of {', '.join(GROUPINGS)}")
    if grouping == "resolution":
        bins = bin_lookup(resolution_bins(rmf, energy_min, energy_max), rmf.n_channels)
    elif grouping == "none":
        bins = bin_lookup(channel_bins(energy_min, energy_max, rmf), rmf.n_channels)
    elif pha.grouping is None:
        raise ConfigError(f"{pha.path}: has no GROUPING; group by 'resolution' or 'none'")
    else:
        bins = (np.cumsum(pha.grouping >= 0) - 1).astype(np.int16)
        outside = (rmf.channel_lo_keV < energy_min) | (rmf.channel_hi_keV > energy_max)
        bins[np.isin(bins, bins[outside & good])] = -1
    bins[~good] = -1
    used, numbered = np.unique(bins[bins >= 0], return_inverse=True)
    if len(used) == 0:
        raise EmptySelection(
            f"{pha.path}: no bin of good channels lies wholly in {energy_min}-{energy_max} keV; "
            "choose another band or other bins"
        )
    bins[bins >= 0] = numbered
    return bins

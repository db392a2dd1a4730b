"""Loading of an OGIP spectrum, with the files that its header names, for a fit."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.ogip.pha import Pha, read_pha
from pyxt_hpc.chandra.ogip.response import Arf, Rmf, check_area_once, check_match, holds_area
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf
from pyxt_hpc.errors import ConfigError, EmptySelection, MissingInput, ResponseMismatch
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.spectra.grouping import bin_lookup, channel_bins, resolution_bins
from pyxt_hpc.spectra.spectrum import Spectrum

log = logging.getLogger(__name__)

GROUPINGS = ("file", "resolution", "none")
NO_FILE = "none"
"""Text instead of a path: use no such file, even if the spectrum's header names one."""

_NO_RESOLUTION = "whose channels hardly tell energies apart: no temperature can be fitted; use ACIS"


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
    energy_min, energy_max : float
        Band [keV]. A bin that lies partly outside is left out as a whole, as in Sherpa after
        ``ignore(None, energy_min); ignore(energy_max, None)``.
    background, arf, rmf : Path, optional
        Files to use instead of those named by BACKFILE, ANCRFILE and RESPFILE, which are relative to the
        spectrum's folder. With "none" as background, its counts are 0 with a ratio of 1, and cstat applies.
        No ARF is needed if the RMF contains the effective area.
    grouping : {"file", "resolution", "none"}, optional
        Bins by GROUPING of the spectrum, by the detector's resolution, or a bin for each channel. Default:
        "file" if the spectrum is grouped, else "resolution". Channels with bad QUALITY in source or
        background are excluded.

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
    if pha.instrument.startswith("HRC"):
        raise ResponseMismatch(f"{pha.path}: is of the HRC, {_NO_RESOLUTION}")
    redistribution = _rmf(pha, rmf)
    area = _arf(pha, arf, redistribution)
    sky = _background(pha, background)
    if len(pha.counts) != redistribution.n_channels:
        raise ResponseMismatch(
            f"{pha.path} has {len(pha.counts)} channels, its RMF {redistribution.n_channels}; "
            "use the RMF made for this spectrum"
        )
    _check_channels(pha, redistribution, sky)
    _check_resolution(pha, redistribution, energy_min, energy_max)
    good = pha.quality == 0
    counts, ratio = np.zeros(len(pha.counts)), 1.0
    if sky is not None:
        if len(sky.counts) != len(pha.counts):
            raise ResponseMismatch(
                f"{sky.path} has {len(sky.counts)} channels, {pha.path} {len(pha.counts)}; "
                "use a background of the same channels"
            )
        _check_scales(pha, sky)
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
    """The given file, else the one named in the spectrum's header; None for "none"."""
    if given is None:
        return named
    return None if str(given).lower() == NO_FILE else Path(given)


def _rmf(pha: Pha, given: Path | str | None) -> Rmf:
    path = _chosen(given, pha.rmf_file)
    if path is None:
        raise MissingInput(f"{pha.path}: RESPFILE names no response; give the RMF")
    return read_rmf(path)


def _arf(pha: Pha, given: Path | str | None, rmf: Rmf) -> Arf:
    path = _chosen(given, pha.arf_file)
    if path is not None:
        arf = read_arf(path)
        check_match(arf, rmf, str(path), f"the RMF of {pha.path}")
        check_area_once(str(path), rmf, f"the RMF of {pha.path}")
        return arf
    largest = float(rmf.sparse.sum(axis=1).max())
    if not holds_area(rmf):
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
    if given is None and not check_regular(path):
        raise MissingInput(
            f"{path}: background spectrum not found, BACKFILE of {pha.path} names it; "
            f"bring it there, give another, or give {NO_FILE!r} to fit without"
        )
    sky = read_pha(path, background=True)
    if sky.path.resolve() == pha.path.resolve() and sky.extension == pha.extension:
        raise ResponseMismatch(
            f"{path}: named as its own background, but has no second spectrum with HDUCLAS2 BKG; give the "
            f"background's file, or {NO_FILE!r} to fit without"
        )
    return sky


def _check_channels(pha: Pha, rmf: Rmf, sky: Pha | None) -> None:
    """Check that spectrum, RMF and background have the same kind of channels."""
    others = [(f"the RMF of {pha.path}", rmf.channel_type, rmf.first_channel_number)]
    if sky is not None:
        others.append((str(sky.path), sky.channel_type, sky.first_channel_number))
    for name, kind, first in others:
        if pha.channel_type and kind and kind != pha.channel_type:
            raise ResponseMismatch(
                f"{pha.path}: its channels are {pha.channel_type}, those of {name} {kind}, which are other "
                f"energies; extract the spectrum in {kind} channels, or use files of one kind"
            )
        if first != pha.first_channel_number:
            log.warning(
                "%s: channels are counted from %d, in %s from %d; they are taken in their order",
                pha.path,
                pha.first_channel_number,
                name,
                first,
            )
    if not pha.channel_type:
        log.info("%s: does not say its CHANTYPE, which is taken to be that of the RMF", pha.path)


def _check_scales(pha: Pha, sky: Pha) -> None:
    """Check that both spectra have BACKSCAL and AREASCAL, or neither."""
    for key, harmless in (("BACKSCAL", None), ("AREASCAL", 1.0)):
        stated = [one for one in (pha, sky) if key in one.stated]
        if len(stated) == 1 and getattr(stated[0], key.lower()) != harmless:
            (other,) = {pha, sky} - set(stated)
            raise ResponseMismatch(
                f"{other.path}: has no {key}, but {stated[0].path} has {getattr(stated[0], key.lower()):g}: "
                f"the scale of the background is unknown; write {key} into its header (specextract and "
                f"dmextract do), or give {NO_FILE!r} as the background"
            )
    if not (pha.stated | sky.stated) & {"BACKSCAL"}:
        log.warning("%s, %s: no BACKSCAL; their areas are taken for equal", pha.path, sky.path)


def _check_resolution(pha: Pha, rmf: Rmf, energy_min: float, energy_max: float) -> None:
    """Refuse a detector whose channels do not separate the energies of the band."""
    middle = 0.5 * (rmf.energy_lo + rmf.energy_hi)
    in_band = np.flatnonzero((middle > energy_min) & (middle < energy_max))
    if len(in_band) < 2:
        return
    rows = rmf.sparse[[in_band[0], in_band[-1]]].toarray()
    total = rows.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        return
    channel = np.arange(rmf.n_channels)
    mean = (rows @ channel) / total[:, 0]
    width = np.sqrt(((channel - mean[:, None]) ** 2 * rows).sum(axis=1) / total[:, 0])
    if abs(mean[1] - mean[0]) < width.max():
        raise ResponseMismatch(f"{pha.path}: has an RMF {_NO_RESOLUTION}")


def _bins(
    pha: Pha, rmf: Rmf, good: NDArray[np.bool_], grouping: str | None, energy_min: float, energy_max: float
) -> NDArray[np.int16]:
    """Bin of each channel; -1 outside the bins of good channels that lie completely in the band."""
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
        begins = pha.grouping >= 0
        begins[0] = True  # the first channel always begins a bin
        bins = (np.cumsum(begins) - 1).astype(np.int16)
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

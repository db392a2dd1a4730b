"""Preparation of OGIP spectra for a joint fit, with choice of statistic and bins.

Also writes spectra of a region as files for XSPEC and Sherpa.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pyxt_hpc.chandra.ogip.pha import Pha, read_pha, write_pha
from pyxt_hpc.chandra.ogip.response_files import Keywords, write_arf, write_rmf
from pyxt_hpc.fit.single.fit import default_statistic, merge_bins
from pyxt_hpc.spectra.fit import FitOptions
from pyxt_hpc.spectra.ogip import load_spectrum
from pyxt_hpc.spectra.spectrum import Spectrum
from pyxt_hpc.spectra.templates import SourceModel


def prepare_fit(
    paths: Sequence[Path],
    model: SourceModel,
    *,
    energy_keV: tuple[float, float] = (0.7, 8.0),
    grouping: str | None = None,
    statistic: str | None = None,
    background: Path | str | None = None,
    arf: Path | str | None = None,
    rmf: Path | str | None = None,
    **options: Any,
) -> tuple[list[Spectrum], FitOptions]:
    """Read spectra from files, and choose bins and options for `fit_single` or Sherpa.

    Parameters
    ----------
    energy_keV
        Band [keV].
    grouping
        As in `load_spectrum`; for wstat, bins by resolution are merged if the background has few counts.
    statistic
        None: wstat, or cstat if a spectrum has no background counts.
    background, arf, rmf
        As in `load_spectrum`.
    **options
        Other fields of `FitOptions`.

    Raises
    ------
    PyxtError
        As `load_spectrum`.
    """
    low, high = energy_keV
    files = {"background": background, "arf": arf, "rmf": rmf}
    spectra = [
        load_spectrum(path, energy_min=low, energy_max=high, grouping=grouping, **files) for path in paths
    ]
    chosen = FitOptions(statistic=statistic or default_statistic(spectra), **options)
    by_resolution = grouping == "resolution" or (
        grouping is None and all(read_pha(path).grouping is None for path in paths)
    )
    if by_resolution and chosen.statistic == "wstat":
        spectra = merge_bins(spectra, model, chosen)
    return spectra, chosen


_OUTSIDE = 5
"""QUALITY of channels outside the band: 5 means that the user set them bad."""


def write_spectra(folder: Path, stem: str, spectra: Sequence[Spectrum], header: Keywords) -> list[Path]:
    """Write spectra for XSPEC and Sherpa, with backgrounds, ARFs and RMFs; returns paths of the spectra.

    GROUPING contains the bins of the fit, and QUALITY marks channels outside the band. Source and background
    have the same exposure; the BACKSCAL of the background is `ratio` times that of the source.

    Parameters
    ----------
    folder
        Folder of the files; it is created if missing.
    stem
        Beginning of the file names, before the name of the spectrum.
    spectra
        Spectra; counts and background must be integers.
    header
        Keywords for the headers.
    """
    paths = []
    for one in spectra:
        names = {kind: folder / f"{stem}_{one.name}{kind}" for kind in (".pi", "_bkg.pi", ".arf", ".rmf")}
        bins = one.bin_of_channel
        source = Pha(
            path=names[".pi"],
            extension=1,
            counts=one.counts,
            first_channel_number=one.rmf.first_channel_number,
            exposure_s=one.exposure_s,
            backscal=1.0,
            areascal=1.0,
            grouping=np.where((bins < 0) | (np.diff(bins, prepend=-1) != 0), 1, -1).astype(np.int16),
            quality=np.where(bins < 0, _OUTSIDE, 0).astype(np.int16),
            background_file=names["_bkg.pi"],
            arf_file=names[".arf"],
            rmf_file=names[".rmf"],
            channel_type=one.rmf.channel_type,
            instrument="ACIS",
            stated=frozenset({"BACKSCAL", "AREASCAL"}),
        )
        behind = replace(
            source,
            path=names["_bkg.pi"],
            counts=one.background,
            backscal=one.ratio,
            grouping=None,
            background_file=None,
            arf_file=None,
            rmf_file=None,
        )
        write_arf(names[".arf"], one.arf, header=header)
        write_rmf(names[".rmf"], one.rmf, header=header)
        write_pha(behind.path, behind, is_background=True, header=header)
        write_pha(source.path, source, header=header)
        paths.append(source.path)
    return paths

"""Bins of a spectrum are sums of its channels, and nonsense is refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from pyxt_hpc.chandra.ogip.response import Arf
from pyxt_hpc.errors import DamagedFile, ResponseMismatch
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.spectra.grouping import bin_lookup
from pyxt_hpc.spectra.spectrum import Spectrum


@pytest.fixture(scope="module")
def spectrum() -> Spectrum:
    """Bins of 2, 3 and 1 channels from channel 10 on; every channel has counts of its own."""
    rmf = gaussian_rmf()
    number = np.arange(rmf.n_channels, dtype=np.float64)
    return Spectrum(
        name="4001",
        counts=number,
        background=number**2,
        exposure_s=1e4,
        ratio=5.0,
        arf=on_axis_arf(),
        rmf=rmf,
        bin_of_channel=bin_lookup(np.array([10, 12, 15, 16]), rmf.n_channels),
    )


def test_bins_are_sums_of_their_channels(spectrum: Spectrum) -> None:
    assert spectrum.n_bin == 3
    np.testing.assert_array_equal(spectrum.binned(spectrum.counts), [10 + 11, 12 + 13 + 14, 15])
    both = spectrum.binned(np.stack([spectrum.counts, 2 * spectrum.counts]))
    np.testing.assert_array_equal(both, [[21, 39, 15], [42, 78, 30]])


def test_energies_of_bins_are_those_of_their_outer_channels(spectrum: Spectrum) -> None:
    lo, hi = spectrum.rmf.channel_lo_keV, spectrum.rmf.channel_hi_keV
    np.testing.assert_array_equal(
        spectrum.energy_edges, [[lo[10], hi[11]], [lo[12], hi[14]], [lo[15], hi[15]]]
    )


def test_channel_taken_out_of_a_bin_is_not_summed(spectrum: Spectrum) -> None:
    bins = spectrum.bin_of_channel.copy()
    bins[13] = -1
    np.testing.assert_array_equal(
        replace(spectrum, bin_of_channel=bins).binned(spectrum.counts), [21, 26, 15]
    )


def test_lengths_of_other_responses_are_refused(spectrum: Spectrum) -> None:
    with pytest.raises(ResponseMismatch, match=r"4001: counts has shape \(9,\), its RMF has \d+ channels"):
        replace(spectrum, counts=np.zeros(9))
    short = Arf(spectrum.arf.energy_lo[:-1], spectrum.arf.energy_hi[:-1], spectrum.arf.area[:-1])
    with pytest.raises(ResponseMismatch, match="ARF of 4001"):
        replace(spectrum, arf=short)


@pytest.mark.parametrize("bins", [[], [1, 1, 2], [0, 2], [0, 1, 0]])
def test_bins_that_do_not_count_up_are_refused(spectrum: Spectrum, bins: list[int]) -> None:
    lookup = np.full(spectrum.rmf.n_channels, -1, np.int16)
    lookup[5 : 5 + len(bins)] = bins
    with pytest.raises(ResponseMismatch, match="4001: expected bins 0, 1, 2"):
        replace(spectrum, bin_of_channel=lookup)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_numbers_without_meaning_are_refused(spectrum: Spectrum, wrong: float) -> None:
    values = spectrum.counts.copy()
    values[3] = wrong
    area = spectrum.arf.area.copy()
    area[7] = wrong
    for change in (
        {"counts": values},
        {"background": values},
        {"arf": Arf(spectrum.arf.energy_lo, spectrum.arf.energy_hi, area)},
        {"exposure_s": wrong},
        {"ratio": wrong},
    ):
        with pytest.raises(DamagedFile, match=f"4001: .*{wrong}"):
            replace(spectrum, **change)
    with pytest.raises(DamagedFile, match="exposure is 0"):
        replace(spectrum, exposure_s=0.0)

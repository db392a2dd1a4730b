"""Spectra as files, for other programs: mandatory keywords, and what Sherpa reads in them."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.ogip.response import fold
from pyxt_hpc.fit.single.spectrum_files import write_spectra
from pyxt_hpc.spectra.ogip import load_spectrum
from pyxt_hpc.spectra.spectrum import Spectrum

OF_ALL = ("TELESCOP", "INSTRUME", "FILTER", "HDUCLASS", "HDUCLAS1", "HDUVERS")
OF_SPECTRA = (
    "EXPOSURE", "BACKFILE", "BACKSCAL", "CORRFILE", "CORRSCAL", "RESPFILE", "ANCRFILE", "AREASCAL",
    "POISSERR", "CHANTYPE", "DETCHANS",
)  # fmt: skip
"""Mandatory by OGIP memos 92-007 and CAL/GEN/92-002."""


@pytest.fixture(scope="module")
def written(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Spectrum, Path]:
    """The real spectrum of 3C 273 in its own bins, and the file that it was written to."""
    spectrum = load_spectrum(shared / "chandra" / "3c273.pi", energy_min=0.7, energy_max=8.0)
    (path,) = write_spectra(tmp_path_factory.mktemp("spectra"), "a", [spectrum], {"OBJECT": "3C 273"})
    return spectrum, path


def test_mandatory_keywords(written: tuple[Spectrum, Path]) -> None:
    files = sorted(written[1].parent.iterdir())
    assert [path.name for path in files] == ["a_3c273.arf", "a_3c273.pi", "a_3c273.rmf", "a_3c273_bkg.pi"]
    for path in files:
        with fits.open(path) as hdus:
            for hdu in hdus[1:]:
                wanted = [*OF_ALL, *(OF_SPECTRA if hdu.name == "SPECTRUM" else ())]
                assert [key for key in wanted if key not in hdu.header] == []
                if hdu.name == "SPECTRUM":  # as a column or for all channels
                    stated = {*hdu.columns.names, *hdu.header}
                    assert {"QUALITY", "GROUPING", "SYS_ERR"} <= stated


def test_sherpa_reads_what_was_fitted(written: tuple[Spectrum, Path]) -> None:
    io = pytest.importorskip("sherpa.astro.io")
    from sherpa.astro.instrument import Response1D
    from sherpa.models.basic import Const1D

    spectrum, path = written
    theirs = io.read_pha(str(path))
    theirs.ignore_bad()
    background = theirs.apply_filter(theirs.get_background().get_dep(False), groupfunc=np.sum)
    np.testing.assert_array_equal(theirs.get_dep(True), spectrum.binned(spectrum.counts))
    np.testing.assert_array_equal(background, spectrum.binned(spectrum.background))
    assert theirs.get_background_scale() == pytest.approx(1.0 / spectrum.ratio, rel=1e-12)
    flat = Const1D("flat")
    flat.integrate = False
    expected = spectrum.binned(fold(np.ones(len(spectrum.arf.area)), spectrum.arf, spectrum.rmf))
    counts = theirs.eval_model_to_fit(Response1D(theirs)(flat))
    np.testing.assert_allclose(counts, expected * spectrum.exposure_s, rtol=1e-6)

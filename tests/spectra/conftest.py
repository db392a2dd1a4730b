"""Shared by the tests of spectra."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.spectra.make_plasma_table import HC_KEV_ANGSTROM


@pytest.fixture
def small_atomdb() -> Callable[..., tuple[Path, Path]]:
    """Writes files of AtomDB's layout into a folder, of some temperatures."""
    return _small_atomdb


def _small_atomdb(folder: Path, kT: tuple[float, ...] = (1.0, 2.0)) -> tuple[Path, Path]:
    """AtomDB's layout: a strong Fe line, a weak O line, flat continua of H and Fe."""
    parameters = fits.BinTableHDU.from_columns(
        [fits.Column("kT", "E", array=np.array(kT))], name="PARAMETERS"
    )
    lines, continua = [], []
    for t in kT:
        lines.append(
            fits.BinTableHDU.from_columns(
                [
                    fits.Column("Lambda", "E", array=HC_KEV_ANGSTROM / np.array([6.7, 0.654, 60.0])),
                    fits.Column("Epsilon", "E", array=np.array([3e-17 * t, 1e-24, 1.0])),
                    fits.Column("Element", "J", array=[26, 8, 26]),
                ]
            )
        )
        flat = np.array([[0.1, 50.0, 0.0], [0.1, 50.0, 0.0]])
        continua.append(
            fits.BinTableHDU.from_columns(
                [
                    fits.Column("Z", "J", array=[1, 26]),
                    fits.Column("N_Cont", "J", array=[2, 2]),
                    fits.Column("E_Cont", "3E", array=flat),
                    fits.Column(
                        "Continuum", "3E", array=np.array([[1e-17, 1e-17, 9.0], [1e-18, 1e-18, 9.0]])
                    ),
                    fits.Column("N_Pseudo", "J", array=[0, 2]),
                    fits.Column("E_Pseudo", "3E", array=flat),
                    fits.Column("Pseudo", "3E", array=np.array([[9.0, 9.0, 9.0], [1e-18, 1e-18, 9.0]])),
                ]
            )
        )
    paths = folder / "apec_line.fits", folder / "apec_coco.fits"
    for path, tables in zip(paths, (lines, continua), strict=True):
        fits.HDUList([fits.PrimaryHDU(), parameters, *tables]).writeto(path)
    return paths

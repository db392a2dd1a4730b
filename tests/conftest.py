"""Fixtures that several rooms of tests share."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import settings

from pyxt_hpc.binning.lattice import lattice
from pyxt_hpc.bundle import Bundle, BundleObservation
from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.config.cluster import RESOLUTION_STEP, ClusterConfig, read_config
from pyxt_hpc.data.make_plasma_table import HC_KEV_ANGSTROM
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.store.rows import ROW_DTYPE

# a shell starts what runs in the background deaf to Ctrl-C, and so would be all programs that tests start
signal.signal(signal.SIGINT, signal.default_int_handler)

# What failed once fails again; `--hypothesis-profile default` draws other examples each time.
settings.register_profile("repeatable", deadline=None, database=None, derandomize=True)
settings.load_profile("repeatable")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference numbers and real spectra that lies beside a developer's checkout."""
    if not (SHARED / "reference").is_dir():
        pytest.skip(f"the reference data are not here: {SHARED} (only developers have them)")
    return SHARED


@pytest.fixture(scope="session")
def small_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``demo.ini`` and the middle of the demo's cluster, briefly observed."""
    from pyxt_hpc.simulate.demo import write_demo_input

    folder = tmp_path_factory.mktemp("small_cluster")
    write_demo_input(folder, exposure_fraction=0.3, field_arcmin=6.0)
    return folder


@pytest.fixture(scope="session")
def small_cluster_processed(small_cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of that folder after stage 1, to be copied and gone on with."""
    from pyxt_hpc.preprocess.process_data import process_data

    folder = tmp_path_factory.mktemp("small_cluster_processed") / "work"
    shutil.copytree(small_cluster, folder)
    config = read_config(folder / "demo.ini")
    process_data(config, Layout.of(config))
    return folder


PIXEL_ARCSEC = 1.968


@pytest.fixture(scope="session")
def made_up_bundle() -> Callable[..., Bundle]:
    """Make a bundle of one observation, everywhere live and equally sensitive."""
    return _made_up_bundle


def _made_up_bundle(counts: np.ndarray, background: float, exposure_s: float = 1e5) -> Bundle:
    """One observation, everywhere live and equally sensitive."""
    shape = counts.shape
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 20.0], [shape[1] / 2, shape[0] / 2]
    wcs.wcs.cdelt = [-PIXEL_ARCSEC / 3600, PIXEL_ARCSEC / 3600]
    one, none = np.ones(1), np.zeros(0, np.int16)
    observation = BundleObservation(
        obsid="1",
        exposure_s=exposure_s,
        background_scale=0.1,
        mask=np.ones(shape, np.uint8),
        vignetting_keV=one,
        vignetting=np.ones((1, *shape), np.float32),
        event_indptr=np.zeros(counts.size + 1, np.int64),
        event_channel=none,
        background_indptr=np.zeros(counts.size + 1, np.int64),
        background_channel=none,
        arf=Arf(one, 2 * one, 400 * one),
        rmf=Rmf(one, 2 * one, *(np.ones(1, np.int32) for _ in range(3)), one, one, 2 * one, 1),
    )
    return Bundle(
        name="A",
        redshift=0.1,
        nH=0.05,
        abundance=0.3,
        absorption="phabs",
        abundance_table="angr",
        energy_min_keV=0.7,
        energy_max_keV=8.0,
        wcs_header=wcs.to_header_string(),
        pixel_scale_arcsec=PIXEL_ARCSEC,
        counts=counts.astype(np.int32),
        background=np.full(shape, background, np.float32),
        background_variance=np.full(shape, 0.1 * background, np.float32),
        mask=np.ones(shape, np.uint8),
        observations=(observation,),
        fingerprint="f" * 64,
    )


@pytest.fixture
def fitted(tmp_path: Path) -> Callable[..., FittedRegions]:
    """Make regions of equal circles from maps of kT [keV] and norm per pixel, without noise."""

    def make(
        kT: np.ndarray, norm: np.ndarray, *, radius: float = 4.0, resolution: int = 2, error: float = 0.1,
        counts: np.ndarray | None = None, background: float = 0.0,
    ) -> FittedRegions:  # fmt: skip
        circles = np.full(kT.shape, radius, np.float32)
        row, col = lattice(circles > 0, RESOLUTION_STEP[resolution])
        rows = np.zeros(len(row), ROW_DTYPE)
        rows["region"], rows["row"], rows["col"], rows["radius"] = 1 + np.arange(len(row)), row, col, radius
        values = {
            "kT": kT[row, col],
            "norm": norm[row, col] * np.pi * radius**2,
            "abundance": 0.3,
            "nH": 0.05,
        }
        for name, value in values.items():
            rows[name] = value
            rows[f"{name}_lo"], rows[f"{name}_hi"] = (
                rows[name] * (1 - error),
                rows[name] * (1 + error),
            )
        rows["counts"], rows["dof"], rows["exposure"], rows["live_fraction"] = 2000, 100, 1e5, 1.0
        rows["observations"][:, 0] = 1
        bundle = _made_up_bundle(np.ones(kT.shape) if counts is None else counts, background)
        config = ClusterConfig(
            path=tmp_path / "A.ini",
            name="A",
            observation_ids=("1",),
            redshift=0.1,
            nH=0.05,
            abundance=0.3,
            data_directory=tmp_path,
        )
        return FittedRegions(
            config=config,
            bundle=bundle,
            radius=circles,
            rows=rows,
            resolution=resolution,
            settings={"abundance_bounds": None, "nH_bounds": None},
            total=len(rows),
            bad=0,
            history=("made up",),
        )

    return make


@pytest.fixture(scope="session")
def bundle_of() -> Callable[..., Bundle]:
    """Make a bundle of observations, with blank images: extraction and fits look at events only."""

    def make(*observations: BundleObservation) -> Bundle:
        shape = observations[0].mask.shape
        blank = np.zeros(shape, np.float32)
        return Bundle(
            name="A",
            redshift=0.1,
            nH=0.05,
            abundance=0.3,
            absorption="phabs",
            abundance_table="angr",
            energy_min_keV=0.7,
            energy_max_keV=8.0,
            wcs_header="",
            pixel_scale_arcsec=1.968,
            counts=blank.astype(np.int32),
            background=blank,
            background_variance=blank,
            mask=np.ones(shape, np.uint8),
            observations=observations,
        )

    return make


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

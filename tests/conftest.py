"""Fixtures that several rooms of tests share, and how the tests are spread over processes."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import settings

from pyxt_hpc.binning.lattice import lattice
from pyxt_hpc.bundle import Bundle, BundleObservation
from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.config.cluster import RESOLUTION_STEP, ClusterConfig, read_config
from pyxt_hpc.data.makers.plasma_table import HC_KEV_ANGSTROM
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.store.rows import ROW_DTYPE

# a shell starts what runs in the background deaf to Ctrl-C, and so would be all programs that tests start
signal.signal(signal.SIGINT, signal.default_int_handler)

# What failed once fails again; `--hypothesis-profile default` draws other examples each time.
settings.register_profile("repeatable", deadline=None, database=None, derandomize=True)
settings.load_profile("repeatable")

SHARED = Path(__file__).resolve().parents[2] / "shared"

FIRST = (
    "fit/test_regions.py",  # compiles the kernels that most of the others need
    "jobs/systems/test_slurm.py",  # waits, and compiles nothing at first
    "whole/test_full_chain.py",  # simulates first
    "parallel/test_launches.py",
    "preprocess/ciao/whole/test_stages_go_on.py",
    "whole/test_commands.py",
    "spectra/kernels/test_fit_free.py",
    "preprocess/ciao/whole/test_whole_way.py",
    "preprocess/whole/test_killed.py",
    "whole/test_marx.py",
    "parallel/test_kills.py",
    "reference/test_sherpa_engine.py",
    "preprocess/ciao/whole/test_faults.py",
    "sample/test_run.py",
    "calibrate/test_command.py",
    "whole/test_run.py",
    "hostile/test_answers.py",
    "hostile/test_storage.py",
    "whole/test_bad_input.py",
    "spectra/test_fit.py",
    "cluster/test_cluster.py",
    "manual/test_snippets.py",
)
"""Long files, with which `pytest -n` begins: at the end one would keep a single process busy.

What waits most of its time stands between what computes.
"""


def pytest_configure(config: pytest.Config) -> None:
    """In a process of `pytest -n` a thread waits for work; it has nothing that a forked child could miss."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        config.addinivalue_line("filterwarnings", "ignore:.*use of fork\\(\\):DeprecationWarning")
    if "coverage" in sys.modules and (coverage := sys.modules["coverage"].Coverage.current()):
        config.pluginmanager.register(Measured(coverage))


class Measured:
    """Lets coverage see the tests of the rooms that it is to measure, and what they start.

    Each room is to be covered by its own tests; all others would only take longer.
    """

    def __init__(self, coverage: Any) -> None:
        self._coverage = coverage
        packages = coverage.get_option("run:source_pkgs")
        self._rooms = [Path(__file__).with_name(package.rpartition(".")[2]) for package in packages]
        self._variables = {key: value for key, value in os.environ.items() if key.startswith("COVERAGE_P")}
        self._sees = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Before a test and what it needs are set up."""
        sees = any(item.path.is_relative_to(room) for room in self._rooms)
        if sees and not self._sees:
            os.environ |= self._variables
            self._coverage.start()
        elif self._sees and not sees:
            self._coverage.stop()
            for name in self._variables:
                del os.environ[name]
        self._sees = sees


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those files first, in every process of `pytest -n` alike."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        rank = {Path(__file__).parent / name: i for i, name in enumerate(FIRST)}
        items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: tests of launches and batch systems wait most of their time."""
    return min(len(os.sched_getaffinity(0)) + 1, 8)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process whole files, in their order: tests of a file share what they set up."""
    from xdist.scheduler import LoadFileScheduling

    if config.getoption("dist") != "load":  # chosen on the command line
        return None
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference numbers and real spectra that lies beside a developer's checkout."""
    if not (SHARED / "reference").is_dir():
        pytest.skip(f"the reference data are not here: {SHARED} (only developers have them)")
    return SHARED


LIMITED = """
import resource, signal, sys
from pyxt_hpc.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="session")
def on_a_full_disk() -> Callable[[Sequence[str], int], "subprocess.CompletedProcess[str]"]:
    """Runs a command that can write no file larger than so many bytes."""

    def run(line: Sequence[str], size: int) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-P", "-c", LIMITED, str(size), *line],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    return run


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Makes a folder that all processes of `pytest -n` share: fill it once, then only copy from it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder_of(name: str, fill: Callable[[Path], object]) -> Path:
        folder, whole = root / name, root / f"{name}.whole"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what another process could not make whole
                folder.mkdir()
                fill(folder)
                whole.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def small_cluster(made_once: MadeOnce) -> Path:
    """Folder with ``demo.ini`` and the middle of the demo's cluster, briefly observed."""
    from pyxt_hpc.simulate.demo import write_demo_input

    return made_once(
        "small_cluster", lambda folder: write_demo_input(folder, exposure_fraction=0.3, field_arcmin=6.0)
    )


@pytest.fixture(scope="session")
def small_cluster_processed(small_cluster: Path, made_once: MadeOnce) -> Path:
    """A copy of that folder after stage 1, to be copied and gone on with."""
    from pyxt_hpc.preprocess.process_data import process_data

    def fill(folder: Path) -> None:
        shutil.copytree(small_cluster, folder, dirs_exist_ok=True)
        config = read_config(folder / "demo.ini")
        process_data(config, Layout.of(config))

    return made_once("small_cluster_processed", fill)


@pytest.fixture(scope="session")
def small_cluster_cropped(small_cluster_processed: Path, made_once: MadeOnce) -> Path:
    """The same after stages 1 to 4: it has a bundle."""
    from pyxt_hpc.cli import main

    def fill(folder: Path) -> None:
        shutil.copytree(small_cluster_processed, folder, dirs_exist_ok=True)
        assert main(["run", "--through", "crop-data", "-c", str(folder / "demo.ini")]) == 0

    return made_once("small_cluster_cropped", fill)


@pytest.fixture(scope="session")
def tiny_cluster(made_once: MadeOnce) -> Path:
    """Folder with ``demo.ini``: 2 arcmin of the demo's cluster, fitted at the coarsest resolution.

    A command takes a second on it.
    """
    from pyxt_hpc.cli import main
    from pyxt_hpc.simulate.demo import write_demo_input

    def fill(folder: Path) -> None:
        write_demo_input(folder, exposure_fraction=0.1, field_arcmin=2.0)
        config = str(folder / "demo.ini")
        for line in ("run --through crop-data", "create-bins", "fit-spectra --resolution 1"):
            assert main([*line.split(), "-c", config]) == 0

    return made_once("tiny_cluster", fill)


PIXEL_ARCSEC = 1.968


@pytest.fixture(scope="session")
def made_up_bundle() -> Callable[..., Bundle]:
    """Make a bundle of one observation, everywhere live and equally sensitive."""
    return _made_up_bundle


def _made_up_bundle(counts: np.ndarray, background: float, exposure_s: float = 1e5) -> Bundle:
    """One observation, everywhere live and equally sensitive."""
    shape = counts.shape
    wcs = tangent_plane(150.0, 20.0, PIXEL_ARCSEC, (shape[1] / 2, shape[0] / 2))
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
    return replace(
        _blank_bundle(observation),
        wcs_header=wcs.to_header_string(),
        counts=counts.astype(np.int32),
        background=np.full(shape, background, np.float32),
        background_variance=np.full(shape, 0.1 * background, np.float32),
        fingerprint="f" * 64,
    )


def _blank_bundle(*observations: BundleObservation) -> Bundle:
    """Images of zeros, all of them live."""
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
        pixel_scale_arcsec=PIXEL_ARCSEC,
        counts=blank.astype(np.int32),
        background=blank,
        background_variance=blank,
        mask=np.ones(shape, np.uint8),
        observations=observations,
    )


@pytest.fixture(scope="session")
def on_whole_grid() -> Callable[[Bundle], Bundle]:
    """The same bundle, where the images of each observation have all pixels of the grid."""
    return _on_whole_grid


def _on_whole_grid(bundle: Bundle) -> Bundle:
    def whole(o: BundleObservation) -> BundleObservation:
        changed = {name: o.on_grid(getattr(o, name), bundle.mask.shape) for name in ("mask", "vignetting")}
        for name in ("event_indptr", "background_indptr"):
            number = np.diff(getattr(o, name)).reshape(o.mask.shape)
            first = np.cumsum(o.on_grid(number, bundle.mask.shape).ravel())
            changed[name] = np.concatenate([[0], first]).astype(np.int64)
        return replace(o, **changed, first_row=0, first_col=0)

    return replace(bundle, observations=tuple(map(whole, bundle.observations)))


@pytest.fixture(scope="session")
def bundle_of() -> Callable[..., Bundle]:
    """Make a bundle of observations, with blank images: extraction and fits look at events only."""
    return _blank_bundle


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

"""Tiny observations of one field, written as level-2 files, with everything in them known."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.chandra.events import EventList, write_events
from pyxt_hpc.chandra.kinds import datasets_of
from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.chandra.ogip.response_files import write_arf, write_rmf
from pyxt_hpc.chandra.sky.fov import write_fov
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.config.cluster import ClusterConfig, read_config
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.crop_data import crop_data
from pyxt_hpc.preprocess.generate_responses import generate_responses
from pyxt_hpc.preprocess.process_data import process_data
from pyxt_hpc.preprocess.propose_regions import propose_regions
from pyxt_hpc.preprocess.remove_sources import remove_sources
from pyxt_hpc.steps import StageResult

RA, DEC = 150.0, 30.0
LENGTH_S = 40_000.0
FLARE_S = (10_000.0, 16_000.0)
START = 5e8
WIDTH, HEIGHT = 1024, 512  # sky pixels of a chip, of which the first 512 rows are read
PARTICLES, SKY = 60_000, 80_000  # events of 0.3-12 and 0.7-5 keV in the quiet time of an observation
AREA_CM2 = {"FI": 300.0, "BI": 450.0}
BACKGROUND_FACTOR = 4.0  # blank-sky events per event of particle background


@dataclass(frozen=True)
class Field:
    """The cluster's folder and its configuration."""

    config: ClusterConfig
    layout: Layout

    def rewrite(self, path: Path, edit: Callable[[fits.HDUList], None]) -> None:
        """Change a FITS file in place."""
        with fits.open(path, memmap=False) as hdus:
            edit(hdus)
            hdus.writeto(path, overwrite=True)

    def events(self, obsid: str) -> Path:
        return self.layout.observation(obsid) / "primary" / f"acisf{int(obsid):05d}N003_evt2.fits"

    def fov(self, obsid: str) -> Path:
        return self.layout.observation(obsid) / "primary" / f"acisf{int(obsid):05d}_000N003_fov1.fits"


def rmf_of_pi(n_channel: int = 1024, first_channel: int = 1, shift_eV: float = 0.0) -> Rmf:
    edges = (np.arange(n_channel + 1) * 14.6 + shift_eV) / 1000
    energy = np.linspace(0.3, 11.0, 108)
    middle = 0.5 * (energy[1:] + energy[:-1])
    first = np.clip(np.searchsorted(edges, middle) - 1, 0, n_channel - 1).astype(np.int32)
    return Rmf(
        energy_lo=energy[:-1],
        energy_hi=energy[1:],
        n_group=np.ones(107, np.int32),
        first_channel=first,
        n_channel=np.ones(107, np.int32),
        matrix=np.ones(107),
        channel_lo_keV=edges[:-1],
        channel_hi_keV=edges[1:],
        first_channel_number=first_channel,
    )


def uniform_events(
    rng: np.random.Generator, n: int, band: tuple[float, float], ccds: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Events spread evenly over both chips (the first on the left) and a band [eV]."""
    x = rng.uniform(-WIDTH, WIDTH, n)
    energy = rng.uniform(*band, n).astype(np.float32)
    return {
        "x": x,
        "y": rng.uniform(-HEIGHT / 2, HEIGHT / 2, n),
        "energy_eV": energy,
        "ccd_id": np.where(x > 0, ccds[1], ccds[0]).astype(np.int8),
        "grade": rng.choice([0, 2, 3, 4, 6], n).astype(np.int16),
    }


def joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}


def write_observation(
    layout: Layout,
    obsid: str,
    pointing: tuple[float, float],
    seed: int,
    ccds: tuple[int, int] = (0, 1),
    detnam: str = "ACIS-016",
) -> None:
    """Write all files of an observation; the last chip of DETNAM saw nothing."""
    other = int(detnam[-1])
    rng = np.random.default_rng(seed)
    wcs = tangent_plane(*pointing, crpix=(4096.5, 4096.5))
    header = fits.Header()
    header["TELESCOP"], header["INSTRUME"], header["DETNAM"] = "CHANDRA", "ACIS", detnam
    header["DATAMODE"], header["EXPOSURE"], header["OBS_ID"] = "FAINT", 0.98 * LENGTH_S, obsid
    header["RA_PNT"], header["DEC_PNT"] = pointing
    header["FIRSTROW"], header["NROWS"] = 1, HEIGHT
    header["DATE-OBS"], header["DATE-END"] = "2013-11-05T04:26:40", "2013-11-05T15:33:20"
    header["TSTART"], header["TSTOP"] = START, START + LENGTH_S

    particles = uniform_events(rng, PARTICLES, (300, 12_000), ccds)
    flare = uniform_events(rng, PARTICLES, (300, 12_000), ccds)
    spurious = uniform_events(rng, 3000, (300, 12_000), ccds)
    spurious["grade"][:] = 7
    sky = uniform_events(rng, SKY, (700, 5000), ccds)
    quiet_time = rng.uniform(0, LENGTH_S, PARTICLES + 3000 + SKY)
    flare_time = rng.uniform(*FLARE_S, PARTICLES)
    times = np.concatenate([quiet_time[:PARTICLES], flare_time, quiet_time[PARTICLES:]])
    source = joined([particles, flare, spurious, sky])
    gti = {ccd: np.array([[START, START + LENGTH_S]]) for ccd in (*ccds, other)}
    primary = layout.observation(obsid) / "primary"
    events = event_list(wcs, header, source, times + START, gti)
    write_events(primary / f"acisf{int(obsid):05d}N003_evt2.fits", events.select(np.argsort(times)))

    blank = uniform_events(rng, int(PARTICLES * BACKGROUND_FACTOR), (300, 12_000), ccds)
    background = event_list(wcs, header, blank, None, {})
    write_events(layout.supplied_background(obsid), background)

    half = HEIGHT / 2
    corners = {
        ccd: np.array([(low, -half), (high, -half), (high, half), (low, half)])
        for ccd, low, high in ((ccds[0], -WIDTH, 0), (ccds[1], 0, WIDTH), (other, WIDTH, 2 * WIDTH))
    }
    outlines = {c: [np.column_stack(wcs.all_pix2world(*(p + 4096.5).T, 1))] for c, p in corners.items()}
    write_fov(primary / f"acisf{int(obsid):05d}_000N003_fov1.fits", outlines, wcs, header)
    rmf = rmf_of_pi()
    for dataset in datasets_of(obsid, ccds):
        rmf_path, arf_path = (
            layout.supplied_response(f"{{obsid}}/{{obsid}}.{suffix}", obsid, dataset.name)
            for suffix in ("rmf", "arf")
        )
        write_rmf(rmf_path, rmf)
        write_arf(arf_path, Arf(rmf.energy_lo, rmf.energy_hi, np.full(107, AREA_CM2[dataset.kind])))


def event_list(
    wcs: WCS,
    header: fits.Header,
    columns: dict[str, np.ndarray],
    times: np.ndarray | None,
    gti: dict[int, np.ndarray],
) -> EventList:
    energy = columns["energy_eV"]
    x, y = columns["x"], columns["y"]
    return EventList(
        path=Path("-"),
        header=header,
        wcs=wcs,
        pi=np.minimum(energy // np.float32(14.6) + 1, 1024).astype(np.int16),
        time=times,
        gti=gti,
        chipx=(np.floor(x) % WIDTH + 1).astype(np.int16),
        chipy=(np.floor(y + HEIGHT / 2) + 1).astype(np.int16),
        **columns | {"x": x + 4096.5, "y": y + 4096.5},
    )


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    layout = Layout(data / "A1", "A1")
    write_observation(layout, "1", (RA, DEC), 1)
    write_observation(layout, "22", (RA + 0.02, DEC + 0.01), 2)
    layout.crop_reg.parent.mkdir(parents=True)
    layout.crop_reg.write_text(f'# CIAO\nbox(10:00:00,+30:00:00,{200 * 1.968}",{100 * 1.968}",0)\n')
    layout.sources_reg.write_text(f'fk5\ncircle({RA},{DEC},12")\nellipse({RA + 0.02},{DEC},5",9",30)\n')
    layout.exclude_reg.write_text(f'fk5\ncircle({RA},{DEC},60")\n')
    return data


@pytest.fixture(scope="session")
def stages() -> Callable[[Field], tuple[StageResult, ...]]:
    """Does stages 1 to 4."""
    order = (process_data, remove_sources, generate_responses, crop_data)
    return lambda field: tuple(do(field.config, field.layout) for do in order)


def copied(source: Path, folder: Path, observation_ids: tuple[str, ...]) -> Field:
    """A private copy of a cluster's folder, with all that stages have made in it."""
    shutil.copytree(source, folder / "A1")
    config = ClusterConfig(
        path=folder / "A1.ini",
        name="A1",
        observation_ids=observation_ids,
        redshift=0.1,
        nH=0.03,
        abundance=0.3,
        data_directory=folder,
    )
    return Field(config, Layout.of(config))


@pytest.fixture(scope="session")
def copy_field(pristine: Path) -> Callable[[Path], Field]:
    """Makes a private copy of the two observations in a folder."""
    return lambda folder: copied(pristine / "A1", folder, ("1", "22"))


@pytest.fixture
def field(copy_field: Callable[[Path], Field], tmp_path: Path) -> Field:
    """A private copy of the two observations."""
    return copy_field(tmp_path)


@pytest.fixture
def single(field: Field) -> Field:
    """A private copy in which only the first observation is configured."""
    return replace(field, config=replace(field.config, observation_ids=("1",)))


# Fields that stages were done on. Those of the session are for all tests and not to be changed; tests that
# change something have copies, in which only what they change is done again.

Done = tuple[Field, tuple[StageResult, ...]]


@pytest.fixture(scope="session")
def after_stage_2(copy_field: Callable[[Path], Field], tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The two observations after stages 1 and 2, with holes filled."""
    field = copy_field(tmp_path_factory.mktemp("after_stage_2"))
    process = process_data(field.config, field.layout)
    return field, (process, remove_sources(field.config, field.layout, fill=True))


@pytest.fixture(scope="session")
def after_stage_4(after_stage_2: Done, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The same after all stages."""
    before, outcomes = after_stage_2
    field = copied(before.layout.cluster_dir, tmp_path_factory.mktemp("after_stage_4"), ("1", "22"))
    later = [stage(field.config, field.layout) for stage in (generate_responses, crop_data)]
    return field, (*outcomes, *later)


@pytest.fixture(scope="session")
def single_after_stage_3(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Field:
    """The first observation alone after stages 1 to 3."""
    field = copied(pristine / "A1", tmp_path_factory.mktemp("single_after_stage_3"), ("1",))
    for stage in (process_data, remove_sources, generate_responses):
        stage(field.config, field.layout)
    return field


@pytest.fixture(scope="session")
def single_after_stage_4(single_after_stage_3: Field, tmp_path_factory: pytest.TempPathFactory) -> Field:
    """The same after all stages."""
    folder = tmp_path_factory.mktemp("single_after_stage_4")
    field = copied(single_after_stage_3.layout.cluster_dir, folder, ("1",))
    crop_data(field.config, field.layout)
    return field


@pytest.fixture
def done(after_stage_4: Done, tmp_path: Path) -> Field:
    """A private copy of the two observations after all stages."""
    return copied(after_stage_4[0].layout.cluster_dir, tmp_path, ("1", "22"))


@pytest.fixture
def single_done(single_after_stage_4: Field, tmp_path: Path) -> Field:
    """A private copy of the first observation alone after all stages."""
    return copied(single_after_stage_4.layout.cluster_dir, tmp_path, ("1",))


@pytest.fixture
def single_before_crop(single_after_stage_3: Field, tmp_path: Path) -> Field:
    """A private copy of the first observation alone after stages 1 to 3."""
    return copied(single_after_stage_3.layout.cluster_dir, tmp_path, ("1",))


@pytest.fixture(scope="session")
def copy_after_stage_2(after_stage_2: Done) -> Callable[[Path], Field]:
    """Makes a private copy of the two observations after stage 2."""
    return lambda folder: copied(after_stage_2[0].layout.cluster_dir, folder, ("1", "22"))


@pytest.fixture(scope="session")
def proposed(
    small_cluster_processed: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, StageResult]:
    """Folder of the small cluster after stage 1 with all regions proposed, and what was said of them."""
    folder = tmp_path_factory.mktemp("proposed") / "work"
    shutil.copytree(small_cluster_processed, folder)
    config = read_config(folder / "demo.ini")
    layout = Layout.of(config)
    for drawn in (layout.sources_reg, layout.crop_reg):
        drawn.unlink()
    return folder, propose_regions(config, layout)


@pytest.fixture(scope="session")
def observe() -> Callable[..., None]:
    """`write_observation`."""
    return write_observation

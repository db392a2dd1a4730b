"""Bad input gives one line that says what to do, exit code 2, and no half-written file."""

import gzip
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from astropy.io import fits

from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.layout import Layout

MPIEXEC = Path(sys.executable).with_name("mpiexec")


def copy(cluster: Path, to: Path) -> Path:
    """Configuration of a copy of a cluster; large files are links, so replace them and do not edit them."""
    shutil.copytree(cluster, to, copy_function=lambda a, b: Path(b).hardlink_to(a))
    config = to / "demo.ini"
    text = config.read_text()
    config.unlink()
    config.write_text(text)
    return config


@pytest.fixture
def processed(tiny_cluster: Path) -> Path:
    """Folder of a cluster that has been fitted at the coarsest resolution."""
    return tiny_cluster


def digests(folder: Path) -> dict[Path, str]:
    """Content of every file except the records of steps, since a failed step has none."""
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "steps"
    }


def refused(capsys: pytest.CaptureFixture[str], config: Path, *line: str) -> str:
    """The line of a command that is refused and changes nothing."""
    before = digests(config.parent)
    capsys.readouterr()
    assert main([*line, "-c", str(config)]) == 2
    out, err = capsys.readouterr()
    said = [text for text in err.splitlines() if not text.startswith("INFO")]
    assert len(said) == 1, err
    assert said[0].startswith("pyxt-hpc: error: ")
    assert out == ""
    assert digests(config.parent) == before
    return said[0]


def truncate(path: Path) -> None:
    """Keep two thirds of a file."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: 2 * len(content) // 3])


def overwrite(path: Path) -> None:
    """Replace the content of a file."""
    path.unlink()
    path.write_text("<html>404 Not Found</html>\n" * 200)


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.unlink()
    path.write_bytes(content)


STAGE = {
    "ARF": "generate-responses",
    "RMF": "generate-responses",
}  # the command that reads it; otherwise process-data
INPUTS: dict[str, Callable[[Layout], Path]] = {
    "events": lambda layout: next(layout.observation("4001").glob("primary/*evt2.fits")),
    "field of view": lambda layout: next(layout.observation("4001").glob("primary/*fov1.fits")),
    "blank sky": lambda layout: layout.supplied_background("4002"),
    "ARF": lambda layout: layout.supplied_arf("4001"),
    "RMF": lambda layout: layout.supplied_rmf("4002"),
}


@pytest.mark.parametrize("damage", [truncate, overwrite, Path.unlink])
@pytest.mark.parametrize("name", INPUTS)
def test_damaged_or_missing_input_is_named(
    processed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, damage: Callable
) -> None:
    config = copy(processed, tmp_path / "work")
    layout = Layout.of(read_config(config))
    path = INPUTS[name](layout)
    damage(path)
    if name == "field of view" and not path.exists():
        assert main(["process-data", "-c", str(config)]) == 0  # it is only compared with
        return
    message = refused(capsys, config, STAGE.get(name, "process-data"))
    # A missing file is named by its pattern: its exact name depends on the archive's version.
    assert (path.name if path.exists() else path.parent.name) in message


def test_unknown_obsid_is_named(processed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = copy(processed, tmp_path / "work")
    config.write_text(config.read_text().replace("4001, 4002", "4001, 9999"))
    message = refused(capsys, config, "process-data")
    for part in ("1 missing", "9999", "download_chandra_obsid", "observation_ids"):
        assert part in message


def edited(path: Path, edit: Callable[[fits.HDUList], None]) -> Path:
    """Change a FITS file, which may be a link, and return it."""
    with fits.open(path, memmap=False) as hdus:
        edit(hdus)
        path.unlink()
        hdus.writeto(path)
    return path


@pytest.mark.parametrize("keyword", ["NAXIS", "TFIELDS"])
def test_damaged_count_of_a_header_does_not_hang(
    processed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], keyword: str
) -> None:
    config = copy(processed, tmp_path / "work")
    path = INPUTS["ARF"](Layout.of(read_config(config)))
    content = path.read_bytes()
    at = content.index(f"{keyword:8}= ".encode())
    path.unlink()
    path.write_bytes(content[: at + 10] + b"97389336612891984223" + content[at + 30 :])
    message = refused(capsys, config, "generate-responses")
    assert path.name in message
    assert keyword in message


@pytest.mark.parametrize("name", ["acb", "main_output"])
def test_file_in_place_of_a_folder(
    processed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    config = copy(processed, tmp_path / "work")
    folder = getattr(Layout.of(read_config(config)), name)
    shutil.rmtree(folder)
    folder.write_text("")
    before = set(config.parent.rglob("*.h5"))
    assert main(["crop-data", "-c", str(config)]) == 2
    assert f"check that {folder} is a folder" in capsys.readouterr().err
    assert set(config.parent.rglob("*.h5")) == before
    assert not list(config.parent.rglob(".tmp-*"))


PRODUCTS = [
    ("bundle", "create-bins", "crop-data"),
    ("bundle", "fit-spectra --continue", "crop-data"),
    ("scale_map", "fit-spectra --continue", "create-bins"),
    ("results", "make-temperature-map", "fit-spectra"),
]
DAMAGES = [(*product, damage) for product in PRODUCTS for damage in (truncate, overwrite, Path.unlink)]
# A flipped row of the results is merely pending again.
DAMAGES += [(*product, flip) for product in PRODUCTS if product[0] != "results"]


@pytest.mark.parametrize(("product", "line", "remedy", "damage"), DAMAGES)
def test_damaged_product_is_refused_with_its_remedy(
    processed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    product: str,
    line: str,
    remedy: str,
    damage: Callable,
) -> None:
    config = copy(processed, tmp_path / "work")
    path = getattr(Layout.of(read_config(config)), product)
    damage(path)
    message = refused(capsys, config, *line.split())
    assert path.name in message
    assert remedy in message


# For each stage: its product, the largest file that it may write, and a product that is larger.
FULL_DISKS = [
    ("process-data", "acisI*.fits", 20_000),
    ("propose-regions", "*_proposed_regions.png", 20_000),
    ("remove-sources", "acisI_clean.fits", 100_000),
    ("generate-responses", "acisI.rmf", 20_000),
    ("crop-data", "*comb_*.fits", 20_000),
    ("crop-data", "*_bundle.h5", 100_000),
]


@pytest.mark.parametrize(("stage", "product", "size"), FULL_DISKS)
def test_full_disk_leaves_nothing_half_made(
    processed: Path, tmp_path: Path, on_a_full_disk: Callable, stage: str, product: str, size: int
) -> None:
    config = copy(processed, tmp_path / "work")
    products = list(config.parent.rglob(product))
    assert max(path.stat().st_size for path in products) > size
    for path in products:
        path.unlink()
    if stage == "propose-regions":
        layout = Layout.of(read_config(config))
        layout.exclude_reg.unlink()
    before = digests(config.parent)
    done = on_a_full_disk([stage, "-c", str(config)], size)
    assert done.returncode == 2, done.stderr
    said = [text for text in done.stderr.splitlines() if not text.startswith(("INFO", "WARNING"))]
    assert len(said) == 1, done.stderr
    assert said[0].startswith("pyxt-hpc: error: ")
    assert "free disk space" in said[0]
    assert not list(config.parent.rglob(".tmp-*"))
    # files that could be written are complete, others are absent: none is as large as the limit
    after = digests(config.parent)
    new = [path for path in after if path not in before]
    assert all(path.stat().st_size <= size for path in new)
    assert not any(path.stat().st_size == size for path in new)


def only_level_1(layout: Layout) -> None:
    path = INPUTS["events"](layout)
    path.rename(path.with_name("acisf04001_000N003_evt1.fits"))


def gzip_cut_short(layout: Layout) -> None:
    path = INPUTS["blank sky"](layout)
    content = gzip.compress(path.read_bytes(), 1)
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def unknown_shape(layout: Layout) -> None:
    layout.sources_reg.unlink()
    layout.sources_reg.write_text("fk5\nstar(150,20,3)\n")


def no_events(layout: Layout) -> None:
    def edit(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].data = hdus["EVENTS"].data[:0]

    edited(INPUTS["blank sky"](layout), edit)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (only_level_1, "acisf04001_000N003_evt1.fits is of level 1: make level 2 with chandra_repro"),
        (gzip_cut_short, "4002_background.fits: event file is damaged"),
        (unknown_shape, "sources.reg, line 2: shape star is unknown"),
        (no_events, "4002_background.fits: the event list is empty"),
    ],
)
def test_run_as_a_user_sees_it(processed: Path, tmp_path: Path, damage: Callable, said: str) -> None:
    config = copy(processed, tmp_path / "work")
    damage(Layout.of(read_config(config)))
    line = [sys.executable, "-P", "-m", "pyxt_hpc", "run", "-c", str(config), "--through", "crop-data"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    lines = [text for text in done.stderr.splitlines() if not text.startswith(("INFO", "WARNING"))]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("pyxt-hpc: error: ")
    assert said in lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(config.parent.rglob(".tmp-*"))


@pytest.mark.parametrize("name", ["create-bins", "fit-spectra"])
def test_ranks_say_it_once_and_end(small_cluster: Path, tmp_path: Path, name: str) -> None:
    if not MPIEXEC.exists():
        pytest.skip(f"no {MPIEXEC}: pip install 'pyxt_hpc[mpi]' brings it")
    config = copy(small_cluster, tmp_path / "work")
    line = [str(MPIEXEC), "-n", "3", sys.executable, "-P", "-m", "pyxt_hpc", name, "-c", str(config)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert done.stderr.count("pyxt-hpc: error: ") == 1
    assert "crop-data" in done.stderr
    assert "Traceback" not in done.stderr

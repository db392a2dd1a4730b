"""A scale map is what create-bins wrote for this bundle, to the last bit, or it is refused."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import DamagedFile, PyxtError
from pyxt_hpc.fit.inputs import changed_settings, read_scale_map, scale_map_settings
from pyxt_hpc.images import write_image
from pyxt_hpc.layout import Layout

SHAPE = (40, 50)


@pytest.fixture
def config(tmp_path: Path) -> ClusterConfig:
    """A cluster."""
    return ClusterConfig(
        path=tmp_path / "A.ini", name="A", observation_ids=("1",), redshift=0.1, nH=0.05, abundance=0.3,
        data_directory=tmp_path,
    )  # fmt: skip


@pytest.fixture
def bundle() -> SimpleNamespace:
    """Parts of a bundle that are needed here: all pixels are live, except in a corner."""
    mask = np.ones(SHAPE, np.uint8)
    mask[:3, :3] = 0
    return SimpleNamespace(fingerprint="f" * 64, mask=mask, wcs_header="")


def radii() -> np.ndarray:
    """Circles on most pixels."""
    rng = np.random.default_rng(2)
    values = (8 + rng.integers(0, 100, SHAPE)).astype(np.float32) / 8
    values[rng.random(SHAPE) < 0.2] = 0
    values[:3, :3] = 0
    return values


def write(config: ClusterConfig, bundle: SimpleNamespace, values: np.ndarray) -> Path:
    """Write a scale map as create-bins does."""
    path = Layout.of(config).scale_map
    write_image(
        path, values, bundle.wcs_header, unit="pixel", comment="", bundle_fingerprint=bundle.fingerprint,
        settings=scale_map_settings(config),
    )  # fmt: skip
    return path


def test_what_was_written_is_read(config: ClusterConfig, bundle: SimpleNamespace) -> None:
    write(config, bundle, radii())
    np.testing.assert_array_equal(read_scale_map(config, bundle), radii())


def test_no_random_change_is_believed(config: ClusterConfig, bundle: SimpleNamespace) -> None:
    path = write(config, bundle, radii())
    content = path.read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(200):
        damaged = bytearray(content)
        at = int(rng.integers(len(damaged)))
        damaged[at] = (damaged[at] + int(rng.integers(1, 256))) % 256
        path.write_bytes(damaged)
        with pytest.raises(DamagedFile, match="create-bins") as caught:
            read_scale_map(config, bundle)
        assert "\n" not in str(caught.value)


CHANGES: dict[str, Callable[[float], float]] = {
    "NaN": lambda r: np.nan, "negative": lambda r: -5.0, "twice": lambda r: 2 * r, "huge": lambda r: 1e30,
    "infinite": lambda r: np.inf, "gone": lambda r: 0.0,
    "one bit": lambda r: np.nextafter(np.float32(r), 9, dtype="f4"), "another circle": lambda r: r + 0.125,
}  # fmt: skip


@pytest.mark.parametrize("how", ["update", "anew"])
@pytest.mark.parametrize("change", CHANGES)
def test_pixels_that_another_program_changed_are_refused_though_it_renews_the_checksum(
    config: ClusterConfig, bundle: SimpleNamespace, change: str, how: str
) -> None:
    path = write(config, bundle, radii())
    with fits.open(path) as hdus:
        values, header = np.array(hdus[0].data), hdus[0].header.copy()
    row, col = (int(index[70]) for index in np.nonzero(values))
    values[row, col] = CHANGES[change](float(values[row, col]))
    if how == "anew":
        fits.writeto(path, values, header, overwrite=True, checksum=True)
    else:
        with fits.open(path, mode="update", checksum=True) as hdus:
            hdus[0].data[row, col] = values[row, col]
    with pytest.raises(DamagedFile, match=r"scale_map\.fits: .*create-bins"):
        read_scale_map(config, bundle)


@pytest.mark.parametrize("value", [np.nan, np.inf, -5.0, 0.875, 100.125, 1e30, 2.01])
def test_radii_that_no_circle_has_are_named(
    config: ClusterConfig, bundle: SimpleNamespace, value: float
) -> None:
    values = radii()
    values[20, 30] = value
    write(config, bundle, values)
    with pytest.raises(DamagedFile, match=r"1 pixel with another radius, the first .* at row 20, column 30"):
        read_scale_map(config, bundle)


def test_circle_on_a_dead_pixel_and_pixels_of_another_kind(
    config: ClusterConfig, bundle: SimpleNamespace
) -> None:
    values = radii()
    values[1, 1] = 3.0
    write(config, bundle, values)
    with pytest.raises(DamagedFile, match="1 pixel with another radius, the first 3 at row 1"):
        read_scale_map(config, bundle)
    write(config, bundle, radii().astype(np.float64))
    with pytest.raises(DamagedFile, match="expected float32"):
        read_scale_map(config, bundle)


def test_scale_map_with_a_damaged_card(shared: Path, config: ClusterConfig, bundle: SimpleNamespace) -> None:
    path = Layout.of(config).scale_map
    path.parent.mkdir(parents=True)
    packed = next((shared / "cases").glob("34-*/sntarget.fits.gz"))
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    with pytest.raises(PyxtError, match="create-bins") as caught:
        read_scale_map(config, bundle)
    assert "\n" not in str(caught.value)


def test_settings_that_are_not_those_of_the_fits_are_named(config: ClusterConfig) -> None:
    assert changed_settings(config, config) == {}
    now = replace(config, temperature_max_keV=20.0, free_abundance=True, abundance_max=2.0)
    assert changed_settings(now, config) == {
        "temperature_max": (40.0, 20.0),
        "free_abundance": (False, True),
    }
    free = replace(config, free_abundance=True)
    assert changed_settings(replace(free, abundance_max=2.0), free) == {"abundance_max": (3.0, 2.0)}

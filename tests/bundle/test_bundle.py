"""The file of the bundle: it is read as it was written, or it is refused."""

import pickle
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from pyxt_hpc.bundle import Bundle, BundleObservation, read_bundle, sort_by_pixel, write_bundle
from pyxt_hpc.bundle.file import from_arrays, to_arrays
from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import DamagedFile, ForeignProduct, MissingInput
from pyxt_hpc.fit.inputs import read_cluster_bundle
from pyxt_hpc.layout import Layout
from pyxt_hpc.spectra.models.absorption import transmission
from pyxt_hpc.spectra.models.plasma import load_plasma

NY, NX, N_CHANNEL = 12, 9, 40


def small_observation(obsid: str, n_event: int, seed: int) -> BundleObservation:
    rng = np.random.default_rng(seed)
    energy = np.linspace(0.3, 10.0, 31)
    channel = np.linspace(0.2, 10.2, N_CHANNEL + 1)
    parts = {}
    for kind, n in (("event", n_event), ("background", 3 * n_event)):
        pixel = rng.integers(0, NY * NX, n)
        parts[f"{kind}_indptr"], parts[f"{kind}_channel"] = sort_by_pixel(
            pixel, rng.integers(0, N_CHANNEL, n).astype(np.int16), NY * NX
        )
    return BundleObservation(
        obsid=obsid,
        exposure_s=9876.5,
        background_scale=0.1,
        mask=(rng.random((NY, NX)) < 0.9).astype(np.uint8),
        vignetting_keV=np.array([1.0, 4.0]),
        vignetting=rng.random((2, NY, NX)).astype(np.float32),
        **parts,
        arf=Arf(energy[:-1], energy[1:], rng.random(30)),
        rmf=Rmf(
            energy_lo=energy[:-1],
            energy_hi=energy[1:],
            n_group=np.ones(30, np.int32),
            first_channel=np.arange(30, dtype=np.int32),
            n_channel=np.full(30, 2, np.int32),
            matrix=np.full(60, 0.5),
            channel_lo_keV=channel[:-1],
            channel_hi_keV=channel[1:],
            first_channel_number=1,
        ),
    )


def small_bundle() -> Bundle:
    rng = np.random.default_rng(1)
    return Bundle(
        name="",
        redshift=0.1,
        nH=0.03,
        abundance=0.3,
        absorption="phabs",
        abundance_table="angr",
        energy_min_keV=0.7,
        energy_max_keV=8.0,
        wcs_header="CRPIX1  =                  1.0".ljust(80),
        pixel_scale_arcsec=1.968,
        counts=rng.poisson(3, (NY, NX)).astype(np.int32),
        background=rng.random((NY, NX)).astype(np.float32),
        background_variance=rng.random((NY, NX)).astype(np.float32),
        mask=np.ones((NY, NX), np.uint8),
        observations=(small_observation("1", 500, 2), small_observation("20", 0, 3)),
    )


def assert_same(one: object, other: object) -> None:
    for f in fields(one):
        a, b = getattr(one, f.name), getattr(other, f.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=f.name)
            assert a.dtype == b.dtype, f.name
        elif isinstance(a, tuple):
            for x, y in zip(a, b, strict=True):
                assert_same(x, y)
        elif isinstance(a, Arf | Rmf):
            assert_same(a, b)
        else:
            assert a == b, f.name


def test_round_trip(tmp_path: Path) -> None:
    bundle = small_bundle()
    written = write_bundle(tmp_path / "acb" / "b.h5", bundle)
    back = read_bundle(tmp_path / "acb" / "b.h5")
    assert_same(written, back)
    assert_same(replace(back, fingerprint=""), bundle)
    assert len(back.fingerprint) == 64
    assert [p.name for p in (tmp_path / "acb").iterdir()] == ["b.h5"]


def test_dates_are_kept_and_a_bundle_without_them_is_as_good(tmp_path: Path) -> None:
    bundle = small_bundle()
    first, second = bundle.observations
    dated = replace(first, date_obs="2012-01-02T03:04:05", date_end="2012-01-02T20:00:00")
    write_bundle(tmp_path / "dated.h5", replace(bundle, observations=(dated, second)))
    assert read_bundle(tmp_path / "dated.h5").observations[0].date_end == "2012-01-02T20:00:00"
    written = write_bundle(tmp_path / "old.h5", bundle)
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        for i in range(2):
            for name in ("date_obs", "date_end"):
                del file[f"observation_{i}"].attrs[name]
    assert_same(read_bundle(tmp_path / "old.h5"), written)


def test_seconds_of_datasets_count_by_their_area() -> None:
    """A flat brightness is flat where chips of different sensitivity meet."""
    bundle = small_bundle()
    bundle = replace(bundle, nH=0.0)
    energy = np.array([0.3, 0.7, 2.0, 8.0])
    halves = np.zeros((2, NY, NX), np.uint8)
    halves[0, :, :5], halves[1, :, 5:] = 1, 1
    front, back = (
        replace(
            o, mask=mask, vignetting=np.full((2, NY, NX), 0.5, np.float32),
            arf=Arf(energy[:-1], energy[1:], np.array(area)),
        )
        for o, mask, area in zip(
            bundle.observations, halves, ([9e9, 400.0, 200.0], [0.0, 500.0, 250.0]), strict=True
        )
    )  # fmt: skip
    both = replace(bundle, observations=(front, back))
    np.testing.assert_allclose(both.exposure[:, :5], 0.8 * 0.5 * 9876.5, rtol=1e-6)
    np.testing.assert_allclose(both.exposure[:, 5:], 0.5 * 9876.5, rtol=1e-6)
    alone = replace(bundle, observations=(front,))
    np.testing.assert_allclose(alone.exposure[:, :5], 0.5 * 9876.5, rtol=1e-6)


@pytest.mark.parametrize("nH", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("band", [(0.7, 8.0), (0.5, 2.0), (2.0, 7.0)])
def test_areas_are_compared_for_photons_that_arrive(nH: float, band: tuple[float, float]) -> None:
    """A contaminated filter takes soft photons, of which absorption leaves few."""
    edges = np.linspace(0.3, 11.0, 1071)
    middle = 0.5 * (edges[1:] + edges[:-1])
    through = np.exp(-2.0 * (middle / 0.67) ** -2.9)
    clean, dirty = (
        replace(small_bundle().observations[0], arf=Arf(edges[:-1], edges[1:], 500.0 * share))
        for share in (np.ones_like(middle), through)
    )
    hhe, metals = load_plasma().components(edges, 0.1, "angr")
    inside = (middle > band[0]) & (middle < band[1])
    for kT, error in ((3.0, 0.11), (6.0, 0.04), (10.0, 0.04)):
        node = np.argmin(np.abs(load_plasma().kT - kT))
        photons = ((hhe[node] + 0.3 * metals[node]) * transmission(edges, nH))[inside]
        true = (photons @ through[inside]) / photons.sum()
        ratio = dirty.mean_area(*band, nH, "phabs") / clean.mean_area(*band, nH, "phabs")
        assert ratio == pytest.approx(true, rel=error)


def test_datasets_of_one_observation(tmp_path: Path) -> None:
    """Two kinds of chips: two datasets of one ObsID, which the configuration names once."""
    bundle = small_bundle()
    assert [o.dataset for o in bundle.observations] == ["1", "20"]
    front, back = (
        replace(o, obsid="9003", dataset=f"9003-{kind}")
        for o, kind in zip(bundle.observations, ("FI", "BI"), strict=True)
    )
    config = ClusterConfig(
        path=tmp_path / "A.ini", name="A", observation_ids=("9003",), redshift=0.1, nH=0.03, abundance=0.3,
        data_directory=tmp_path,
    )  # fmt: skip
    path = Layout.of(config).bundle
    path.parent.mkdir(parents=True)
    for observations, left_out in (((front, back), ""), ((back,), "CCD 6: no response")):
        write_bundle(path, replace(bundle, name="A", observations=observations, left_out=left_out))
        found = read_cluster_bundle(config)
        assert [(o.obsid, o.dataset) for o in found.observations] == [
            ("9003", o.dataset) for o in observations
        ]
        assert found.left_out == left_out
    with pytest.raises(ForeignProduct, match="its observations are 9003, not 9003, 1"):
        read_cluster_bundle(replace(config, observation_ids=("9003", "1")))


def test_fingerprint_depends_on_every_value(tmp_path: Path) -> None:
    bundle = small_bundle()
    path = tmp_path / "b.h5"
    prints = {write_bundle(path, bundle).fingerprint}
    assert {write_bundle(path, bundle).fingerprint} == prints
    one, two = bundle.observations
    for changed in (
        replace(bundle, nH=0.031),
        replace(bundle, name="A2"),
        replace(bundle, counts=bundle.counts + np.int32(1)),
        replace(bundle, observations=(two, one)),
        replace(bundle, observations=(replace(one, exposure_s=9876.6), two)),
        replace(bundle, observations=(replace(one, vignetting=one.vignetting * np.float32(2)), two)),
        replace(bundle, observations=(replace(one, rmf=replace(one.rmf, first_channel_number=0)), two)),
        replace(bundle, observations=(replace(one, arf=replace(one.arf, area=one.arf.area * 2)), two)),
    ):
        prints.add(write_bundle(path, changed).fingerprint)
    assert len(prints) == 9


def test_sharing_copies_nothing() -> None:
    bundle = small_bundle()
    meta, arrays = to_arrays(bundle)
    assert len(pickle.dumps(meta)) < 2000
    back = from_arrays(meta, arrays)
    assert_same(bundle, back)
    assert back.observations[0].event_channel is bundle.observations[0].event_channel
    assert back.observations[1].rmf.matrix is bundle.observations[1].rmf.matrix


def test_sort_by_pixel_is_stable() -> None:
    rng = np.random.default_rng(5)
    pixel = rng.integers(0, 50, 2000)
    channel = rng.integers(0, 1024, 2000).astype(np.int16)
    indptr, ordered = sort_by_pixel(pixel, channel, 50)
    np.testing.assert_array_equal(ordered, channel[np.argsort(pixel, kind="stable")])
    np.testing.assert_array_equal(np.diff(indptr), np.bincount(pixel, minlength=50))
    assert indptr[0] == 0


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.h5"
    with pytest.raises(MissingInput, match="crop-data"):
        read_bundle(path)
    write_bundle(path, small_bundle())
    content = path.read_bytes()
    for damage in (b"", b"text\n" * 100, content[:1000], content[: len(content) // 2], content[:-1]):
        path.write_bytes(damage)
        with pytest.raises(DamagedFile, match=r"b\.h5"):
            read_bundle(path)


@pytest.mark.parametrize(
    "name", ["counts", "observation_0/event_channel", "observation_1/rmf_matrix", "observation_0/vignetting"]
)
def test_a_changed_value_is_noticed(tmp_path: Path, name: str) -> None:
    path = tmp_path / "b.h5"
    write_bundle(path, small_bundle())
    with h5py.File(path, "r+") as file:
        values = file[name][()]
        values.flat[0] = values.flat[0] + 1 if values.dtype.kind == "f" else values.flat[0] ^ 1
        file[name][...] = values
    with pytest.raises(DamagedFile, match="checksum"):
        read_bundle(path)


def test_a_changed_or_lost_attribute_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "b.h5"
    write_bundle(path, small_bundle())
    with h5py.File(path, "r+") as file:
        file["observation_1"].attrs["background_scale"] = 0.2
    with pytest.raises(DamagedFile, match="checksum"):
        read_bundle(path)
    with h5py.File(path, "r+") as file:
        del file["observation_1"].attrs["background_scale"]
    with pytest.raises(DamagedFile, match="background_scale"):
        read_bundle(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.h5"
    write_bundle(path, small_bundle())
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = 99
    with pytest.raises(ForeignProduct, match="version 99, expected"):
        read_bundle(path)
    with h5py.File(path, "w") as file:
        file["something"] = 1
    with pytest.raises(ForeignProduct, match="schema"):
        read_bundle(path)


def test_disagreeing_shapes_are_not_written(tmp_path: Path) -> None:
    bundle = small_bundle()
    one, two = bundle.observations
    wrong = {
        "does not agree with 11": replace(bundle, counts=bundle.counts[:-1]),
        "counts is int64": replace(bundle, counts=bundle.counts.astype(np.int64)),
        "no observation": replace(bundle, observations=()),
        "vignetting": replace(bundle, observations=(replace(one, vignetting_keV=np.arange(3.0)), two)),
        "event_indptr": replace(
            bundle, observations=(replace(one, event_indptr=one.event_indptr[::-1]), two)
        ),
        "channels of the RMF": replace(
            bundle, observations=(replace(one, event_channel=one.event_channel + np.int16(N_CHANNEL)), two)
        ),
    }
    for message, bad in wrong.items():
        with pytest.raises(ValueError, match=message):
            write_bundle(tmp_path / "b.h5", bad)
    assert list(tmp_path.iterdir()) == []


def two_fields() -> Bundle:
    """100 and 10 s on 2 x 2 pixels of a quarter of a square arcminute each, one of them dead."""
    fields = []
    for exposure_s, mask, area in (
        (100.0, [[1, 1], [0, 0]], [1.0, 0.5]),
        (10.0, [[1, 0], [1, 0]], [1.0, 1.0]),
    ):
        live = np.array(mask, np.uint8)
        fields.append(
            replace(
                small_observation("1", 0, 1), exposure_s=exposure_s, mask=live,
                vignetting_keV=np.array([1.0, 5.0]),
                vignetting=np.array(area, np.float32)[:, None, None] * live,
            )
        )  # fmt: skip
    return replace(
        small_bundle(), observations=tuple(fields), pixel_scale_arcsec=30.0, energy_min_keV=2.0,
        energy_max_keV=4.5, mask=np.array([[1, 1], [1, 0]], np.uint8),
        counts=np.array([[85, 75], [3, 0]], np.int32),
        background=np.array([[0.0, 0.0], [4.0, 0.0]], np.float32),
    )  # fmt: skip


def test_exposure_is_that_of_the_middle_of_the_band() -> None:
    bundle = two_fields()
    assert bundle.exposure_energy_keV == 3.0
    # the first field's area is 1 at 1 keV, 0.5 at 5 keV
    np.testing.assert_allclose(bundle.exposure, [[85, 75], [10, 0]])
    np.testing.assert_allclose(bundle.brightness, [[4.0, 4.0], [-0.4, np.nan]])
    for low, high in ((0.7, 8.0), (0.5, 7.0), (2.0, 7.0), (0.5, 1.2)):
        energy = replace(bundle, energy_min_keV=low, energy_max_keV=high).exposure_energy_keV
        assert low < energy < high


def test_an_observation_of_a_small_part_has_small_images(tmp_path: Path) -> None:
    """In a mosaic of 60 fields, images of the whole grid would take gigabytes."""
    bundle = small_bundle()
    one = small_observation("1", 500, 1)
    mask = np.zeros_like(one.mask)
    mask[4:9, 2:6] = one.mask[4:9, 2:6]
    mask[4, 3] = mask[8, 5] = mask[6, 2] = 1  # on the outermost rows and columns
    parts = {}
    for kind in ("event", "background"):
        pixel = np.repeat(np.arange(mask.size), np.diff(getattr(one, f"{kind}_indptr")))
        live = mask.ravel()[pixel] > 0
        parts[f"{kind}_indptr"], parts[f"{kind}_channel"] = sort_by_pixel(
            pixel[live], getattr(one, f"{kind}_channel")[live], mask.size
        )
    whole = replace(one, mask=mask, **parts)
    small = whole.trimmed()
    assert small.place == (slice(4, 9), slice(2, 6))
    assert small.trimmed().place == small.place
    np.testing.assert_array_equal(small.on_grid(small.mask, mask.shape), mask)
    np.testing.assert_array_equal(
        small.on_grid(small.vignetting * small.mask, mask.shape), one.vignetting * mask
    )
    for kind in ("event", "background"):
        before, now = (np.diff(getattr(o, f"{kind}_indptr")).reshape(o.mask.shape) for o in (whole, small))
        np.testing.assert_array_equal(small.on_grid(now, mask.shape), before)
        assert getattr(small, f"{kind}_channel") is getattr(whole, f"{kind}_channel")
    exposures = [replace(bundle, observations=(o,)).exposure for o in (whole, small)]
    np.testing.assert_array_equal(*exposures)

    written = write_bundle(tmp_path / "b.h5", replace(bundle, observations=(small, one)))
    again = read_bundle(tmp_path / "b.h5")
    assert again.fingerprint == written.fingerprint
    assert [o.place for o in again.observations] == [small.place, one.place]
    with h5py.File(tmp_path / "b.h5") as file:
        for name in ("vignetting", "event_indptr", "background_indptr"):
            assert file["observation_0"][name].compression
    for name, first, n in (("first_row", 8, 5), ("first_col", -1, 4)):
        outside = replace(bundle, observations=(replace(small, **{name: first}),))
        with pytest.raises(ValueError, match=f"{name} is {first} for {n} of the"):
            write_bundle(tmp_path / "b.h5", outside)


@pytest.mark.parametrize(("energy", "area"), [(0.5, 1.0), (1.0, 1.0), (2.0, 0.875), (5.0, 0.5), (9.0, 0.5)])
def test_area_is_linear_between_known_energies(energy: float, area: float) -> None:
    first = two_fields().observations[0]
    np.testing.assert_allclose(first.relative_area(energy), [[area, area], [0, 0]])
    one = replace(first, vignetting_keV=np.ones(1), vignetting=first.vignetting[:1])
    np.testing.assert_allclose(one.relative_area(energy), first.mask)

"""The whole analysis on spherical clusters whose density and temperature are known."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.errors import ConfigError, EmptySelection, PyxtError
from pyxt_hpc.fit.inputs import config_of, with_settings
from pyxt_hpc.profiles.analysis import ClusterProfile, ProfileOptions, analyse
from pyxt_hpc.simulate.spherical import PRESETS

Observed = Callable[[str, float], Bundle]


@cache
def deep(observed: Observed) -> ClusterProfile:
    """A cool core, whose temperature doubles outwards, in 1.6 million counts."""
    bundle = observed("cool core", 10.0)
    return analyse(bundle, config_of(bundle), ProfileOptions(signal_to_noise=120.0, draws=60))


def true_shells(profile: ClusterProfile, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Root of the mean square density, and spectroscopic-like temperature, of every shell."""
    cluster = PRESETS[name].clumps[0].cluster
    return cluster.shells(np.maximum(profile.geometry.edges_kpc, 0.06))


def test_density_is_right_to_three_percent(observed: Observed) -> None:
    profile = deep(observed)
    n_e, _ = true_shells(profile, "cool core")
    found = profile.shells["n_e"]
    error = 0.5 * (found.high - found.low)
    # 3%, and of the smallest shells no more than their noise
    assert np.all(np.abs(found.value / n_e - 1) < np.maximum(0.03, 2.5 * error / n_e))
    assert np.median(error / n_e) < 0.015
    z = (found.value - n_e) / error
    assert 0.4 < np.std(z) < 1.7
    by_brightness = profile.density.best(profile.geometry.radius_kpc)
    assert by_brightness == pytest.approx(n_e, rel=0.02)


def test_temperature_is_within_its_errors(observed: Observed) -> None:
    profile = deep(observed)
    _, kT = true_shells(profile, "cool core")
    assert kT.max() > 2.0 * kT.min()
    found = profile.shells["kT"]
    z = (found.value - kT) / (0.5 * (found.high - found.low))
    # the last holds the cooler gas beyond it
    assert np.abs(z[:-1]).max() < 3.2
    assert 0.4 < np.std(z[:-1]) < 1.7
    # seen in projection the core is not as cool
    assert profile.rows["kT"][0] > 1.15 * kT[0]


def test_gas_mass_and_concentration(observed: Observed) -> None:
    profile = deep(observed)
    cluster = PRESETS["cool core"].clumps[0].cluster
    assert profile.shells["gas_mass"].value == pytest.approx(
        cluster.gas_mass(profile.geometry.edges_kpc[1:]), rel=0.03
    )
    assert profile.core.by_cooling_time == "strong cool core"
    assert profile.core.by_concentration == "pronounced cool core"
    fit = profile.entropy_fit
    assert fit is not None
    radius = profile.geometry.radius_kpc
    assert fit(radius[2:-1]) == pytest.approx(
        (cluster.kT(radius) * cluster.density(radius) ** (-2 / 3))[2:-1], rel=0.12
    )


def test_sectors_of_a_round_cluster_have_its_norm(observed: Observed) -> None:
    """A sector across 0, and one that is partly masked, give densities of the whole sphere."""
    bundle = observed("cool core", 10.0)
    masked = _with_hole(bundle)
    options = ProfileOptions(signal_to_noise=90.0, sector=(330.0, 420.0), draws=30)
    profile = analyse(masked, config_of(bundle), options)
    n_e, _ = true_shells(profile, "cool core")
    found = profile.shells["n_e"]
    error = 0.5 * (found.high - found.low)
    assert np.all(np.abs(found.value / n_e - 1) < np.maximum(0.03, 3.0 * error / n_e))
    assert profile.rows["counts"].sum() < 0.25 * bundle.counts.sum()


def _with_hole(bundle: Bundle) -> Bundle:
    """A source of 12 pixels radius taken out of the sector."""
    y, x = np.indices(bundle.mask.shape)
    row, col = (n // 2 for n in bundle.mask.shape)
    live = np.hypot(y - row - 10, x - col - 40) > 12
    (own,) = bundle.observations
    parts = {}
    for kind in ("event", "background"):
        indptr, channel = getattr(own, f"{kind}_indptr"), getattr(own, f"{kind}_channel")
        number = np.where(live.ravel(), np.diff(indptr), 0)
        parts[f"{kind}_indptr"] = np.concatenate([[0], np.cumsum(number)])
        parts[f"{kind}_channel"] = channel[np.repeat(live.ravel(), np.diff(indptr))]
    mask = live.astype(np.uint8)
    images = {name: getattr(bundle, name) * live for name in ("counts", "background", "background_variance")}
    return replace(bundle, mask=mask, observations=(replace(own, mask=mask, **parts),), **images)


def test_faint_cluster_says_what_is_open(observed: Observed) -> None:
    """300 counts an annulus: no number without a meaning, whatever the noise does."""
    bundle = observed("faint", 1.0)
    config = with_settings(config_of(bundle), {"free_abundance": True})
    profile = analyse(bundle, config, ProfileOptions(counts=300.0, draws=40))
    assert len(profile.annuli) > 5
    for name, interval in profile.shells.items():
        known = np.isfinite(interval.value)
        assert np.all(interval.value[known] > 0) or name == "abundance"
        for end, sign in ((interval.low, -1), (interval.high, 1)):
            both = known & np.isfinite(end)
            assert np.all(sign * (end - interval.value)[both] >= -0.5 * np.abs(interval.value[both]))
    n_e = profile.shells["n_e"]
    known = np.isfinite(n_e.value)
    assert np.all((n_e.low <= n_e.value)[known] & (n_e.value <= n_e.high)[known])
    unknown = np.isin(profile.status, ("no significant emission", "not determined", "kT at its bound"))
    kT = profile.shells["kT"]
    assert np.array_equal(~np.isfinite(kT.value), unknown)
    assert np.all(kT.value[~unknown] < 0.999 * config.temperature_max_keV)
    assert not np.any(kT.high >= config.temperature_max_keV)
    cluster = PRESETS["faint"].clumps[0].cluster
    mass = profile.shells["gas_mass"]
    expected = cluster.gas_mass(profile.geometry.edges_kpc[-1])
    assert abs(mass.value[-1] - expected) < 3.0 * 0.5 * (mass.high[-1] - mass.low[-1])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"centre": "10 20"}, ConfigError, "outside of the images"),
        ({"centre": "middle"}, ConfigError, "expected peak, centroid or 'RA DEC'"),
        ({"centre": "150 nan"}, ConfigError, "centre"),
        ({"counts": 1e9}, EmptySelection, "annuli with 1e+09 net counts: found 0,"),
        ({"counts": 6e4}, EmptySelection, "annuli with 60000 net counts: found 1,"),
        ({"band_keV": (9.0, 10.0)}, ConfigError, "has 0.7-8 keV"),
        ({"edge": (200.0, 100.0)}, ConfigError, "0 < first < second"),
        ({"edge": (1000.0, 1100.0)}, EmptySelection, "0 rings"),
        ({"sector": (10.0, 10.0)}, ConfigError, "first < last"),
        ({"sector": (0.0, 0.01)}, EmptySelection, ""),
        ({"counts": 100.0, "signal_to_noise": 5.0}, ConfigError, "one of them"),
        ({"counts": -5.0}, ConfigError, "more than 0"),
        ({"smoothing": np.nan}, ConfigError, "0 or more"),
    ],
)
def test_bad_input_is_told(observed: Observed, options: dict, error: type[PyxtError], words: str) -> None:
    bundle = observed("relaxed", 1.0)
    with pytest.raises(error) as raised:
        analyse(bundle, config_of(bundle), ProfileOptions(**options))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_empty_fields_are_told(observed: Observed) -> None:
    bundle = observed("relaxed", 1.0)
    config = config_of(bundle)
    dead = replace(bundle, mask=np.zeros_like(bundle.mask))
    with pytest.raises(EmptySelection, match="no pixel"):
        analyse(dead, config, ProfileOptions())
    (own,) = bundle.observations
    n = len(own.event_indptr)
    nothing = replace(own, event_indptr=np.zeros(n, np.int64), event_channel=np.empty(0, np.int16))
    empty = replace(bundle, counts=np.zeros_like(bundle.counts), observations=(nothing,))
    with pytest.raises(EmptySelection, match="no counts"):
        analyse(empty, config, ProfileOptions())
    with pytest.raises(ConfigError, match="redshift is 0"):
        analyse(bundle, replace(config, redshift=0.0), ProfileOptions())

"""The commands of a whole cluster: results do not depend on the launch, nor on being killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.units import Unit
from astropy.wcs import WCS

from pyxt_hpc.bundle import read_bundle
from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.fit.single.rounding import with_sides
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.fitted import read_fitted_regions
from pyxt_hpc.maps.gas.thermodynamics import Thermodynamics
from pyxt_hpc.simulate.truth import compare_gas_with_truth, compare_with_truth
from pyxt_hpc.store.reader import open_store, read_store
from pyxt_hpc.store.rows import COLUMNS, Status
from pyxt_hpc.store.writer import ResultsStore

MPIEXEC = Path(sys.executable).with_name("mpiexec")
NOT_COMPARED = ("seconds", "attempts")


def values(path: Path) -> np.ndarray:
    """Rows of a complete store, without the columns that may differ between two runs."""
    results = read_store(path)
    assert set(results.status.tolist()) <= {Status.DONE, Status.BAD}
    names = [n for n in results.rows.dtype.names if n not in NOT_COMPARED]
    return results.rows[names]


def assert_same(a: np.ndarray, b: np.ndarray) -> None:
    """Check that all values are equal; NaN is equal to NaN."""
    assert len(a) == len(b)
    for name in a.dtype.names:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture(scope="module")
def cluster(small_cluster_cropped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of the centre of a small simulated cluster, processed up to the scale map."""
    folder = tmp_path_factory.mktemp("commands")
    shutil.copytree(small_cluster_cropped, folder / "work")
    config = folder / "work" / "demo.ini"
    Layout.of(read_config(config)).crop_reg.write_text('fk5\nbox(150,20,240",240",0)\n')
    for line in (["crop-data"], ["create-bins", "--num-cpus", "2"]):
        assert main([*line, "-c", str(config)]) == 0
    return config


@pytest.fixture(scope="module")
def uninterrupted(cluster: Path) -> np.ndarray:
    """Fits of every pixel's region in one process."""
    assert main(["fit-spectra", "-c", str(cluster), "--resolution", "3", "--num-cpus", "1", "--yes"]) == 0
    return values(Layout.of(read_config(cluster)).results)


def command(config: Path, *options: str) -> list[str]:
    """Command line that fits every pixel's region."""
    base = [sys.executable, "-P", "-m", "pyxt_hpc", "fit-spectra", "-c", str(config), "--resolution", "3"]
    return [*base, *options]


LAUNCHES: dict[str, Callable[[Path], list[str]]] = {
    "processes": lambda config: command(config, "--continue", "--num-cpus", "2"),
    "mpirun": lambda config: [str(MPIEXEC), "-n", "3", *command(config, "--continue")],
}


@pytest.fixture(params=LAUNCHES)
def launch(request: pytest.FixtureRequest, cluster: Path) -> Iterator[list[str]]:
    """A command line that fits, without a store yet."""
    if request.param == "mpirun" and not MPIEXEC.exists():
        pytest.skip(f"no {MPIEXEC}: pip install 'pyxt_hpc[mpi]' brings it")
    results = Layout.of(read_config(cluster)).results
    results.unlink(missing_ok=True)
    yield LAUNCHES[request.param](cluster)
    results.unlink(missing_ok=True)


def test_however_launched_the_results_are_the_same(
    cluster: Path, uninterrupted: np.ndarray, launch: list[str]
) -> None:
    subprocess.run(launch, check=True, timeout=300)
    assert_same(values(Layout.of(read_config(cluster)).results), uninterrupted)


def test_killed_at_any_moment_nothing_finished_is_lost(
    cluster: Path, uninterrupted: np.ndarray, launch: list[str]
) -> None:
    path = Layout.of(read_config(cluster)).results
    finished = np.zeros(len(uninterrupted), bool)
    for share in (0.05, 0.4):  # tests/parallel/test_kills.py has more moments
        process = subprocess.Popen(launch, start_new_session=True, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if path.exists() and np.mean(read_store(path).status == Status.DONE) >= share:
                break
            time.sleep(0.05)  # reading all rows costs more than fitting some
        process.send_signal(signal.SIGKILL)
        process.wait()
        _wait_until_gone(process.pid)
        done = read_store(path).status == Status.DONE
        assert done[finished].all(), "a finished region was lost"
        finished = done
    assert 0 < finished.sum() < len(finished), "the kills came too late to mean anything"
    attempts = read_store(path).rows["seconds"][finished]
    subprocess.run(launch, check=True, timeout=300)
    assert_same(values(path), uninterrupted)
    # Exactly the numbers of the first run: they were not fitted again.
    np.testing.assert_array_equal(read_store(path).rows["seconds"][finished], attempts)


def _wait_until_gone(group: int) -> None:
    """Wait until all ranks and pool processes have ended by themselves after the end of their master."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        alive = []
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = entry.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == group and fields[0] != "Z":
                alive.append(entry.parent.name)
        if not alive:
            return
        time.sleep(0.05)
    for pid in alive:
        os.kill(int(pid), signal.SIGKILL)
    pytest.fail(f"{len(alive)} processes outlived their killed master")


def test_scale_map_is_the_same_over_ranks(cluster: Path) -> None:
    if not MPIEXEC.exists():
        pytest.skip(f"no {MPIEXEC}: pip install 'pyxt_hpc[mpi]' brings it")
    layout = Layout.of(read_config(cluster))
    before = fits.getdata(layout.scale_map)
    layout.scale_map.unlink()
    line = [
        str(MPIEXEC),
        "-n",
        "3",
        sys.executable,
        "-P",
        "-m",
        "pyxt_hpc",
        "create-bins",
        "-c",
        str(cluster),
    ]
    subprocess.run(line, check=True, timeout=300)
    np.testing.assert_array_equal(fits.getdata(layout.scale_map), before)


@pytest.fixture(scope="module")
def fitted(cluster: Path) -> Path:
    """Configuration of a cluster in which every third pixel's region is fitted."""
    line = ["fit-spectra", "-c", str(cluster), "--resolution", "2", "--num-cpus", "2", "--yes"]
    assert main(line) == 0
    return cluster


def test_maps_hold_the_fits_and_agree_with_the_truth(fitted: Path) -> None:
    assert main(["make-temperature-map", "-c", str(fitted)]) == 0
    layout = Layout.of(read_config(fitted))
    results = read_store(layout.results)
    done = results.rows[results.status == Status.DONE]
    kT = fits.getdata(layout.map("temperature"))
    np.testing.assert_allclose(kT[done["row"], done["col"]], done["kT"], rtol=1e-6)
    assert np.isfinite(kT).sum() > 5 * len(done)  # 3 x 3 blocks, cut by the mask
    header = fits.getheader(layout.map("temperature"))
    assert header["BUNIT"] == "keV"
    scale = WCS(header).proj_plane_pixel_scales()[0].to_value("arcsec")
    np.testing.assert_allclose(scale, 1.968, rtol=1e-3)
    for picture in layout.main_output.glob("*_map.fits"):
        assert picture.with_suffix(".png").stat().st_size > 10_000

    comparison = compare_with_truth(done, read_bundle(layout.bundle), layout.cluster_dir / "truth")
    # Circles overlap: of some 50 independent ones a median of 0.2 sigma is 1.4 standard errors.
    assert abs(comparison.median) < 0.4
    assert 0.7 < comparison.scatter < 1.4
    assert 0.5 < comparison.coverage < 0.85


@pytest.fixture(scope="module")
def mapped(fitted: Path) -> Layout:
    """The same cluster with every map, the candidates of shocks and the tables."""
    config = ["-c", str(fitted)]
    assert main(["make-maps", "--all", *config, "--dpi", "60"]) == 0
    assert main(["find-shocks", *config]) == 0
    assert main(["results", "export", *config, "--format", "ecsv"]) == 0
    return Layout.of(read_config(fitted))


def test_every_unit_is_one_of_fits(mapped: Layout) -> None:
    """All images and tables of all stages, and all columns of the store, have units of the FITS standard."""
    images, columns = {}, {name: unit for name, (_, unit, _) in COLUMNS.items()}
    for path in mapped.cluster_dir.rglob("*"):
        if path.suffix in (".fits", ".img", ".expmap", ".psfmap", ".lc", ".gti", ".arf", ".rmf"):
            with fits.open(path) as hdus:
                for key, value in (card for hdu in hdus for card in hdu.header.items()):
                    if key == "BUNIT":
                        images[path.name] = value
                    elif key.startswith(("TUNIT", "CUNIT")):
                        columns[f"{path.name} {key}"] = value
        elif path.suffix == ".ecsv":
            table = Table.read(path, format="ascii.ecsv")
            columns |= {f"{path.name} {c.name}": c.unit.to_string("fits") for c in table.itercols() if c.unit}
    wrong = {}
    for name, text in (images | columns).items():
        try:
            Unit(text, format="fits")
        except ValueError:
            wrong[name] = text
    assert wrong == {}
    assert len(images) > 60
    assert len(columns) > 100
    # norm 1 is 1e-14/(4 pi (D_A (1 + z))^2) int n_e n_H dV = 1, hence 1e14 cm^-5
    for text in (columns["norm"], images[mapped.map("norm").name]):
        assert Unit(text, format="fits").to("cm-5") == pytest.approx(1e14)
    kT, per_area = (fits.getdata(mapped.map(name)) for name in ("temperature", "norm_per_area"))
    norm_unit = Unit(images[mapped.map("norm_per_area").name], format="fits")
    for name, power in (("pseudo_pressure", 1 / 2), ("pseudo_entropy", -1 / 3)):
        unit = Unit(images[mapped.map(name).name], format="fits")
        expected = (kT * Unit("keV") * (per_area * norm_unit) ** power).to_value(unit)
        np.testing.assert_allclose(fits.getdata(mapped.map(name)), expected, rtol=1e-4)


def test_every_map_is_made_and_gas_agrees_with_the_truth(mapped: Layout, cluster: Path) -> None:
    layout = mapped
    names = ("goodness", "flags", "surface_brightness", "pressure", "entropy_error")
    for name in names:
        path = layout.map(name)
        assert np.isfinite(fits.getdata(path)).any()
        assert path.with_suffix(".png").stat().st_size > 10_000
    assert layout.shock_table.exists()
    assert layout.shock_histogram.stat().st_size > 5_000

    regions = read_fitted_regions(read_config(cluster))
    rows = regions.rows
    density = Thermodynamics.of(regions).density.value
    painted = fits.getdata(layout.map("density"))[rows["row"], rows["col"]]
    np.testing.assert_allclose(painted, density, rtol=1e-6)
    gas = compare_gas_with_truth(rows, density, regions.bundle, layout.cluster_dir / "truth")
    # every circle has S/N 40 at least: norms are good to 2%, densities to 1%; kT to 10%
    # the front is the crop's edge here: nobody can know how faint the sky is beyond
    known = np.isfinite(gas.density) & (rows["live_fraction"] > 0.8)
    assert known.mean() > 0.7
    assert np.mean(abs(gas.density[known] - 1) < 0.05) > 0.98
    assert abs(np.median(gas.density[known]) - 1) < 0.02
    assert abs(np.median(gas.pressure[known]) - 1) < 0.05


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["make-temperature-map", "--resolution", "1"], "fitted at resolution"),
        (["fit-spectra", "--resolution", "1", "--continue"], "resolution"),
        (["fit-spectra", "--resolution", "2"], "There is no terminal for an answer"),
        (["fit-spectra", "--num-cpus", "-1", "--yes"], "--num-cpus: is '-1', expected a whole number"),
    ],
)
def test_what_would_mix_or_lose_results_is_refused(
    cluster: Path, uninterrupted: np.ndarray, capsys: pytest.CaptureFixture[str], line: list[str], said: str
) -> None:
    results = Layout.of(read_config(cluster)).results
    if not results.exists():
        assert main(["fit-spectra", "-c", str(cluster), "--resolution", "2", "--yes"]) == 0
    before = results.read_bytes()
    assert main([*line, "-c", str(cluster)]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("pyxt-hpc: error: ")
    assert said in message
    assert results.read_bytes() == before


def test_store_of_another_bundle_is_refused(
    cluster: Path, uninterrupted: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "work"
    shutil.copytree(cluster.parent, copy)
    config = copy / cluster.name
    if not Layout.of(read_config(config)).results.exists():
        assert main(["fit-spectra", "-c", str(config), "--resolution", "2", "--yes"]) == 0
    config.write_text(config.read_text().replace("abundance = 0.3", "abundance = 0.5"))
    assert main(["run", "--through", "crop-data", "-c", str(config)]) == 0
    for line in (["fit-spectra", "--continue"], ["make-temperature-map"]):
        assert main([*line, "-c", str(config)]) == 2
        assert "create-bins" in capsys.readouterr().err  # the scale map is the first to be out of date
    assert main(["create-bins", "-c", str(config)]) == 0
    assert main(["fit-spectra", "--continue", "-c", str(config)]) == 2
    assert "abundance" in capsys.readouterr().err
    assert main(["make-temperature-map", "-c", str(config)]) == 2
    assert "fit-spectra" in capsys.readouterr().err


def test_attempts_of_a_job_make_the_scale_map_once(
    cluster: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(cluster.parent, tmp_path / "work")
    config = tmp_path / "work" / cluster.name
    layout = Layout.of(read_config(config))
    line = ["create-bins", "--continue", "-c", str(config)]

    def makes_it() -> bool:
        before = layout.scale_map.stat().st_mtime_ns
        capsys.readouterr()
        assert main([*line, "--num-cpus", "1"]) == 0
        made = layout.scale_map.stat().st_mtime_ns != before
        assert ("up to date" in capsys.readouterr().out) != made
        return made

    assert not makes_it()
    layout.region_index_map.unlink()
    assert makes_it()
    config.write_text(re.sub(r"(?m)^(signal_to_noise\w*) = \d+", r"\1 = 55", config.read_text()))
    assert makes_it()
    assert not makes_it()
    if MPIEXEC.exists():
        ranks = [str(MPIEXEC), "-n", "2", sys.executable, "-P", "-m", "pyxt_hpc", *line]
        done = subprocess.run(ranks, capture_output=True, text=True, check=True)
        assert done.stdout.count("up to date") == 1


def test_a_stopped_scale_map_does_not_say_that_it_is_stored(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pyxt_hpc.stages.bins import scale_map as binning

    shutil.copytree(cluster.parent, tmp_path / "work")
    config = tmp_path / "work" / cluster.name
    layout = Layout.of(read_config(config))
    before = layout.scale_map.read_bytes()
    do = binning.scale_map_rows

    def warned(*arguments: object) -> object:
        os.kill(os.getpid(), signal.SIGUSR1)
        return do(*arguments)

    monkeypatch.setattr(binning, "scale_map_rows", warned)
    assert main(["create-bins", "-c", str(config), "--num-cpus", "1"]) == 75
    said = capsys.readouterr().err
    assert "stopped by SIGUSR1" in said
    assert "nothing is stored" in said
    assert "finished results are stored" not in said
    assert layout.scale_map.read_bytes() == before
    monkeypatch.undo()
    assert main(["create-bins", "--continue", "-c", str(config), "--num-cpus", "1"]) == 0
    assert "up to date" not in capsys.readouterr().out  # the stopped command had to make it again


def test_steps_out_of_order_say_which_comes_first(
    cluster: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "demo.ini"
    config.write_text(cluster.read_text())
    for name, first in (
        ("process-data", "observation_ids"),
        ("propose-regions", "process-data"),
        ("remove-sources", "propose-regions"),
        ("generate-responses", "remove-sources"),
        ("crop-data", "propose-regions"),
        ("create-bins", "crop-data"),
        ("fit-spectra", "crop-data"),
        ("make-temperature-map", "crop-data"),
    ):
        assert main([name, "-c", str(config)]) == 2
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert first in message
    # Nothing half-written: only the configuration is there.
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["demo.ini"]


def test_init_cluster_writes_a_template_and_keeps_an_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init-cluster", "A85"]) == 0
    path = tmp_path / "A85_cluster_config.ini"
    path.write_text("mine")
    assert main(["init-cluster", "A85"]) == 2
    assert path.read_text() == "mine"
    assert main(["init-cluster", "A85", "--yes"]) == 0
    assert "[cluster_info]" in path.read_text()
    assert main(["init-cluster", "Abell 85"]) == 2
    assert "no blanks" in capsys.readouterr().err


@pytest.fixture
def no_store(cluster: Path) -> Iterator[Layout]:
    """Paths of a cluster without a store or part, before and after the test."""
    layout = Layout.of(read_config(cluster))

    def clear() -> None:
        for path in layout.acb.glob(f"{layout.name}_results*"):
            path.unlink()

    clear()
    yield layout
    clear()


def test_job_array_equals_one_run(
    cluster: Path, uninterrupted: np.ndarray, no_store: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit-spectra", "-c", str(cluster), "--resolution", "2", "--num-cpus", "1"]
    assert main([*fit, "--slice", "3/3", "--max-regions", "40"]) == 75
    assert main([*fit, "--slice", "1/3"]) == 0
    assert main(["results", "merge", "-c", str(cluster)]) == 0
    said = capsys.readouterr().out
    assert "part-0003-of-0003.h5: 40 of" in said
    assert "part-0002-of-0003.h5: missing" in said
    assert main([*fit, "--slice", "2/3"]) == 0
    assert main([*fit, "--slice", "3/3", "--continue"]) == 0
    assert main([*fit, "--slice", "2/3"]) == 2
    assert "There is no terminal for an answer" in capsys.readouterr().err
    assert main(["results", "merge", "-c", str(cluster)]) == 0
    assert " left" not in capsys.readouterr().out
    found = values(no_store.results)
    assert_same(found, uninterrupted[np.isin(uninterrupted["region"], found["region"])])
    assert len(found) > 1000
    assert main([*fit, "--continue"]) == 0
    assert f"{len(found)} regions were fitted before" in capsys.readouterr().out


def finished_seconds(layout: Layout) -> dict[int, float]:
    """Fit times of all finished regions in store and parts; a second fit would have another time."""
    found: dict[int, float] = {}
    for path in (layout.results, *layout.all_part_results()):
        if path.exists():
            results = read_store(path)
            rows = results.rows[results.status == Status.DONE]
            found |= dict(zip(rows["region"].tolist(), rows["seconds"].tolist(), strict=True))
    return found


def test_slice_takes_over_what_the_whole_has(
    cluster: Path, uninterrupted: np.ndarray, no_store: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit-spectra", "-c", str(cluster), "--resolution", "1", "--num-cpus", "1"]
    assert main([*fit, "--max-regions", "300"]) == 75
    before = finished_seconds(no_store)
    assert main([*fit, "--slice", "2/3", "--continue"]) == 0
    assert "100 regions were fitted before" in capsys.readouterr().out
    assert main([*fit, "--continue"]) == 0
    assert not no_store.all_part_results()
    after = finished_seconds(no_store)
    assert after.items() >= before.items()
    assert set(after) <= set(uninterrupted["region"].tolist())


def test_status_verify_and_export(
    cluster: Path, no_store: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ["-c", str(cluster)]
    for line in (["status"], ["results", "verify"], ["results", "export"], ["results", "merge"]):
        assert main([*line, *config]) == 2
        assert "fit-spectra" in capsys.readouterr().err
    fit = ["fit-spectra", *config, "--resolution", "1", "--num-cpus", "1"]
    assert main([*fit, "--max-regions", "100"]) == 75
    capsys.readouterr()
    assert main(["status", *config, "--watch"]) == 0  # there is no writer: once
    said = capsys.readouterr().out
    assert f"{no_store.results}: 100 of" in said
    assert "100 done" in said
    assert "no process is writing it" in said
    assert "last checkpoint" in said
    with ResultsStore.open_for_resume(no_store.results, **identity(no_store.results)):
        assert main(["status", *config]) == 0
        assert f"process {os.getpid()}" in capsys.readouterr().out
        assert main([*fit, "--continue"]) == 75
        assert f"process {os.getpid()}" in capsys.readouterr().err
    assert main(["results", "export", *config]) == 0
    assert len(no_store.fits_csv("all").read_text().splitlines()) == 101
    assert main(["results", "verify", *config]) == 0
    assert "matches its checksum" in capsys.readouterr().out
    content = no_store.results.read_bytes()
    rows = read_store(no_store.results).rows
    at = content.index(rows[50:51].tobytes())
    no_store.results.write_bytes(content[:at] + bytes(64) + content[at + 64 :])
    assert main(["results", "verify", *config]) == 2
    printed = capsys.readouterr()
    assert "1 rows do not match their checksum" in printed.out
    assert "fit-spectra --continue" in printed.err
    assert main([*fit, "--continue"]) == 0
    assert main(["results", "verify", *config]) == 0


def identity(path: Path) -> dict[str, Any]:
    """Information that is needed to resume a store."""
    with open_store(path) as file:
        return dict(file.description)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--slice", "0/3"], "expected I/N"),
        (["--slice", "4/3"], "expected I/N"),
        (["--slice", "3"], "expected I/N"),
        (["--time-limit", "soon"], "expected seconds or HH:MM:SS"),
        (["--max-regions", "0"], "expected a whole number from 1"),
        (["--slice", "9999/9999", "--resolution", "1"], "no region"),
    ],
)
def test_limits_and_slices_that_mean_nothing(
    cluster: Path, no_store: Layout, capsys: pytest.CaptureFixture[str], option: list[str], said: str
) -> None:
    assert main(["fit-spectra", "-c", str(cluster), *option]) == 2
    assert said in capsys.readouterr().err
    assert not list(no_store.acb.glob(f"{no_store.name}_results*"))


def test_single_region_is_the_maps_and_is_drawn(
    cluster: Path, uninterrupted: np.ndarray, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    row = uninterrupted[len(uninterrupted) // 2]
    number = str(row["region"])
    kT = with_sides(*(float(row[name]) for name in ("kT", "kT_lo", "kT_hi")))
    capsys.readouterr()
    assert main(["fit-region", "-c", str(cluster), number]) == 0
    said = capsys.readouterr().out
    assert kT in said
    assert Layout.of(read_config(cluster)).region_picture(int(number)).stat().st_size > 10_000
    # a fit of its spectra in files gives the same
    assert main(["fit-region", "-c", str(cluster), number, "--spectra", str(tmp_path / "new")]) == 0
    files = sorted(map(str, (tmp_path / "new").glob("*[0-9].pi")))
    bundle = read_bundle(Layout.of(read_config(cluster)).bundle)
    gas = ["--redshift", str(bundle.redshift), "--nH", str(bundle.nH), "--abundance", str(bundle.abundance)]
    capsys.readouterr()
    assert main(["fit-pha", *files, *gas, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    error = row["kT_hi"] - row["kT"]
    assert found["kT"] == pytest.approx(row["kT"], abs=0.02 * error)
    assert found["norm"] == pytest.approx(row["norm"], rel=2e-3)
    with fits.open(files[0]) as hdus:
        hdus.verify("exception")
        header = hdus["SPECTRUM"].header
    assert (header["HDUCLAS2"], header["TELESCOP"], header["CHANTYPE"]) == ("TOTAL", "CHANDRA", "PI")
    assert {path.name for path in (tmp_path / "new").iterdir()} > {
        header[keyword] for keyword in ("BACKFILE", "ANCRFILE", "RESPFILE")
    }
    assert main(["fit-spectra", "-c", str(cluster), "--regions", f"{number},1-2"]) == 0
    said = capsys.readouterr().out
    assert kT in said
    assert len(said.splitlines()) == 4
    assert main(["fit-region", "-c", str(cluster), "999999"]) == 2
    assert "region 999999" in capsys.readouterr().err
    assert main(["fit-spectra", "-c", str(cluster), "--engine", "sherpa"]) == 2
    assert "--regions" in capsys.readouterr().err


def test_engines_compared(cluster: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("sherpa", reason="Sherpa is not installed")
    assert main(["compare-engines", "-c", str(cluster), "--sample", "4"]) == 0
    said = capsys.readouterr().out
    assert "4 of 4 regions fitted by both" in said
    picture = Layout.of(read_config(cluster)).engine_comparison
    assert picture.stat().st_size > 10_000
    assert picture.with_suffix(".ecsv").exists()


def test_ogip_spectrum(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    base = ["fit-pha", str(shared / "chandra" / "9774.pi"), "--redshift", "1.063", "--nH", "0.0568"]
    assert main([*base, "--grouping", "none", "--output", str(tmp_path / "a.png")]) == 0
    said = capsys.readouterr().out
    assert "499 bins" in said
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert main([*base, "--kT", "9", "3"]) == 2
    assert "expected the lower value first" in capsys.readouterr().err
    assert main(["fit-pha", str(tmp_path / "no.pi"), "--redshift", "0", "--nH", "0.1"]) == 2
    assert "no.pi" in capsys.readouterr().err

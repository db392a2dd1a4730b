"""A small cluster that is fitted, and its report in a real browser."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # its tests share the browser
from browser import Browser, find_chromium
from simulated_fronts import shock_free_cluster

from pyxt_hpc.bundle import write_bundle
from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.layout import Layout
from pyxt_hpc.simulate.direct import observe_directly
from pyxt_hpc.steps import Step, run_if_outdated

NAME = "A1795"

HOSTILE = "<script>document.title = 'broken'</script>\"'&<img src=x onerror=\"document.title='broken'\">"


@pytest.fixture(scope="session")
def hostile_text() -> str:
    """What the header of a file may say."""
    return HOSTILE


@pytest.fixture(scope="session")
def config(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """Configuration of a small cluster that is fitted, with records of the stages before."""
    return made_once("report_cluster", fill) / f"{NAME}_cluster_config.ini"


def fill(folder: Path) -> None:
    """Make the cluster and its report."""
    rng = np.random.default_rng(6)
    bundle = observe_directly(shock_free_cluster("cool core", rng, 60).cluster, rng, exposure_s=3e4)
    # part of the field is dark, a hole is in it
    mask = bundle.mask.copy()
    mask[:4], mask[40:44, 40:44] = 0, 0
    observation = replace(bundle.observations[0], mask=mask)
    bundle = replace(bundle, name=NAME, mask=mask, observations=(observation,))
    path = folder / f"{NAME}_cluster_config.ini"
    path.write_text(
        f"[cluster_info]\nname = {NAME}\nobservation_ids = {bundle.obsids[0]}\nredshift = {bundle.redshift}\n"
        f"hydrogen_column_density = {bundle.nH}\nabundance = {bundle.abundance}\n"
        "signal_to_noise_threshold = 16\n"
    )
    layout = Layout.of(read_config(path))
    write_bundle(layout.bundle, bundle)
    assert main(["create-bins", "-c", str(path), "--num-cpus", "1"]) == 0
    assert main(["fit-spectra", "-c", str(path), "--num-cpus", "1", "--yes"]) == 0
    obsid = bundle.obsids[0]
    facts = {
        "date": HOSTILE, "array": "I", "chips": [0, 1, 2, 3], "datamode": "FAINT",
        "exposure_of_chip_s": {"0": 34000.0}, "findings": [f"a finding: {HOSTILE}"],
    }  # fmt: skip
    record(layout, "process-data", obsid, facts)
    cleaned = {"exposure_of_chip_s": {"0": 30000.0}, "flare_fraction": 0.1176, "findings": []}
    record(layout, "remove-sources", obsid, cleaned)
    assert main(["report", "-c", str(path)]) == 0


def record(layout: Layout, stage: str, obsid: str, facts: dict[str, object]) -> None:
    """Write the record of a stage, as the stage does."""
    layout.cluster_dir.mkdir(exist_ok=True)
    step = Step(f"{stage} of ObsID {obsid}", layout.step_record(stage, obsid), (), {}, ())
    run_if_outdated(step, lambda: facts)


@pytest.fixture(scope="session")
def page(config: Path) -> Path:
    """Its report."""
    return Layout.of(read_config(config)).report


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser; tests that need it are skipped where there is none."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium here: install the package chromium")
    with Browser(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    """An empty page of its own, in it."""
    chromium.new_page()
    chromium.size(1400, 900)
    return chromium

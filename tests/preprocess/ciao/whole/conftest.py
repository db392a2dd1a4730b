"""A simulated archive, and the double of CIAO installed with it."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pyxt_hpc.layout import Layout
from pyxt_hpc.simulate.acis.observe import demo_plans, simulate_cluster
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import ClusterTruth, demo_truth
from pyxt_hpc.simulate.demo import configuration_text

sys.path.insert(0, str(Path(__file__).parent))
from installation import Installation
from installation import call_tools as tools_called
from installation import install as install_double
from simulated_archive import write_archive

_EXPOSURE = 0.15  # of the demo's
_FIELD_ARCMIN = 6.0


@dataclass(frozen=True)
class Simulated:
    """A cluster observed twice: as a user has it without CIAO, as the archive has it, and blank-sky files."""

    truth: ClusterTruth
    plans: tuple[ObservationPlan, ...]
    level_2: Layout
    archive: Path
    blank_skies: Path

    @property
    def obsids(self) -> tuple[str, ...]:
        return tuple(plan.obsid for plan in self.plans)

    def configuration(self, folder: Path, name: str, **texts: str) -> Path:
        """Write a configuration of the cluster into a folder, with some keys as given."""
        text = configuration_text(name, self.truth, self.plans)
        for key, value in texts.items():
            text, n = re.subn(rf"^{key} =.*", f"{key} = {value}", text, flags=re.MULTILINE)
            assert n == 1, key
        path = folder / f"{name}.ini"
        path.write_text(text)
        return path


@pytest.fixture(scope="session")
def simulated(made_once: Callable[..., Path]) -> Simulated:
    """The demo's cluster, briefly observed."""
    truth = demo_truth(field_arcmin=_FIELD_ARCMIN)
    plans = tuple(replace(plan, exposure_s=_EXPOSURE * plan.exposure_s) for plan in demo_plans())

    def fill(folder: Path) -> None:
        simulate_cluster(folder / "level_2", truth, plans, seed=1)
        (folder / "blank_skies").mkdir()
        obsids = tuple(plan.obsid for plan in plans)
        layout = Layout(folder / "level_2", "level_2")
        write_archive(layout, obsids, folder / "archive", folder / "blank_skies")

    folder = made_once("simulated_archive", fill)
    level_2 = Layout(folder / "level_2", "level_2")
    return Simulated(truth, plans, level_2, folder / "archive", folder / "blank_skies")


@pytest.fixture
def installation(new_installation: Callable[..., Installation], tmp_path: Path) -> Installation:
    """The double of CIAO, installed with all blank-sky files."""
    return new_installation(tmp_path)


@pytest.fixture(scope="session")
def new_installation(simulated: Simulated) -> Callable[..., Installation]:
    """Install the double of CIAO into a folder, with settings of its own."""

    def install(folder: Path, **settings: float) -> Installation:
        made = install_double(folder / "ciao-4.17", simulated.archive, **settings)
        for path in simulated.blank_skies.iterdir():
            (made.blank_skies / path.name).symlink_to(path)
        return made

    return install


@pytest.fixture
def call_tools(installation: Any, tmp_path: Path) -> Callable[..., list[Any]]:
    """Call tools of the double one after the other: what each said, or the name and text of its error."""
    return lambda *calls: tools_called(installation.prefix, tmp_path, calls)

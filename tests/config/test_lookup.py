"""Archives are queried through astroquery: doubles with astroquery's signatures answer, without a network."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table

from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.config.lookup import look_up
from pyxt_hpc.errors import MissingInput

RA, DEC = 207.2207, 26.5956


class Archives:
    """Doubles of three modules of astroquery 0.4.11, with their signatures, which record the queries."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.redshift: Any = 0.062476
        self.fail: dict[str, Exception] = {}

    def query_object(
        self, object_name: str, *, get_query_payload: bool = False, verbose: bool = False
    ) -> Table:
        """Double of ``Ned.query_object``; its columns are those of NED's main table."""
        self._note("ned")
        table = Table({"Object Name": ["ABELL 1795"], "RA": [RA], "DEC": [DEC], "Type": ["GClstr"]})
        table["Redshift"] = MaskedColumn([self.redshift or 0.0], mask=[self.redshift is None])
        return table

    def query_catalogue(
        self, position: Any = None, catalog: Any = None, radius: Any = None, *, spatial: str = "cone",
        width: Any = None, polygon: Any = None, add_offset: bool = False, get_query_payload: bool = False,
        columns: Any = None, cache: bool = False, verbose: bool = False, maxrec: Any = None, **kwargs: Any,
    ) -> Table:  # fmt: skip
        """Double of ``Heasarc.query_region``."""
        self._note("heasarc")
        assert catalog == "chanmaster"
        assert isinstance(position, SkyCoord)
        assert radius.to_value("arcmin") == pytest.approx(8.0)
        rows = [
            ("493", "A1795", "archived", "ACIS-S", "NONE", 19640.0),
            ("494", "A1795", "archived", "ACIS-S", "NONE", 19520.0),
            ("3666", "A1795", "archived", "ACIS-S", "HETG", 14420.0),
            ("29999", "A1795", "scheduled", "ACIS-I", "NONE", 90000.0),
            ("10432", "A1795", "archived", "HRC-I", "NONE", 5000.0),
            ("5286", "A1795", "archived", "ACIS-I", "NONE", 14290.0),
        ]
        return Table(rows=rows, names=columns.split(","))

    def query_map(
        self, coordinates: Any, *, radius: Any = None, inner_radius: Any = None, width: Any = None,
        height: Any = None, catalog: Any = None, get_query_payload: bool = False, cache: bool = True,
        return_type: str = "votable", column_filters: Any = None, frame: str = "fk5",
    ) -> list[Table]:  # fmt: skip
        """Double of ``VizierClass.query_region``."""
        self._note("vizier")
        assert catalog == "J/A+A/594/A116/nhi_hpx"
        assert radius.to_value("arcmin") == pytest.approx(8.1)
        offsets = np.array([0.5, 3.0, 6.0]) / 60.0
        return [Table({"RAJ2000": np.full(3, RA), "DEJ2000": DEC + offsets, "NHI": [1.0e20, 1.2e20, 1.8e20]})]

    def _note(self, archive: str) -> None:
        self.asked.append(archive)
        if archive in self.fail:
            raise self.fail[archive]


@pytest.fixture
def archives(monkeypatch: pytest.MonkeyPatch) -> Archives:
    """The doubles in place of astroquery."""
    archives = Archives()

    def vizier(
        *, columns: Any = ("*",), column_filters: Any = None, catalog: Any = None, keywords: Any = None,
        ucd: str = "", timeout: float = 60, vizier_server: str = "vizier.cds.unistra.fr", row_limit: int = 50,
    ) -> SimpleNamespace:  # fmt: skip
        return SimpleNamespace(query_region=archives.query_map)

    for name, content in {
        "astroquery": {},
        "astroquery.ipac": {},
        "astroquery.ipac.ned": {"Ned": SimpleNamespace(query_object=archives.query_object)},
        "astroquery.heasarc": {"Heasarc": SimpleNamespace(query_region=archives.query_catalogue)},
        "astroquery.vizier": {"Vizier": vizier},
    }.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return archives


def test_what_the_archives_say(archives: Archives) -> None:
    found = look_up("A1795")
    assert found.redshift == pytest.approx(0.062476)
    # weights 1/1.7, 1/3, 1/6: distances below half a pixel count as half a pixel
    weights = np.array([1 / 1.7, 1 / 3.0, 1 / 6.0])
    assert found.nH == pytest.approx(np.average([0.010, 0.012, 0.018], weights=weights), rel=1e-4)
    # public, ACIS, no grating, the longest first
    assert [one.obsid for one in found.observations] == ["493", "494", "5286"]
    assert "3 observations with ACIS, 53 ks" in found.notes[2]


def test_complete_configuration(
    archives: Archives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init-cluster", "A1795", "--lookup", "--nH", "0.0119"]) == 0
    config = read_config(tmp_path / "A1795_cluster_config.ini")
    assert (config.redshift, config.nH) == (0.062476, 0.0119)  # given values have priority
    assert config.observation_ids == ("493", "494", "5286")
    assert "z = 0.062476" in capsys.readouterr().out


def test_an_archive_that_is_silent_leaves_its_value_empty(archives: Archives) -> None:
    class DALFormatError(Exception):
        """Error with the name of pyvo's, through which HEASARC is queried."""

    said = "ConnectionError: HTTPSConnectionPool(host='heasarc.gsfc.nasa.gov'): Max retries exceeded"
    archives.fail = {"heasarc": DALFormatError(said), "vizier": RuntimeError("Read timed out")}
    archives.redshift = None
    found = look_up("A1795")
    assert (found.redshift, found.nH, found.observations) == (None, None, ())
    assert found.notes[0].endswith("it has no redshift")
    assert found.notes[1] == "HI4PI: Read timed out"
    assert found.notes[2] == "Chandra archive: no connection to it: is there a network here?"


def test_without_network_or_astroquery_it_is_said_and_nothing_written(
    archives: Archives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    archives.fail = {"ned": ConnectionError("Failed to resolve 'ned.ipac.caltech.edu'")}
    with pytest.raises(MissingInput, match="is there a network here"):
        look_up("A1795")
    monkeypatch.setitem(sys.modules, "astroquery.ipac.ned", None)
    assert main(["init-cluster", "A1795", "--lookup"]) == 2
    assert "pip install 'pyxt_hpc[lookup]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "name", "double"),
    [
        ("astroquery.ipac.ned", "Ned.query_object", Archives.query_object),
        ("astroquery.heasarc", "Heasarc.query_region", Archives.query_catalogue),
        ("astroquery.vizier", "VizierClass.query_region_async", Archives.query_map),
    ],
)
def test_doubles_have_the_signatures_of_astroquery(
    module: str, name: str, double: Callable[..., Any]
) -> None:
    real: Any = pytest.importorskip(module, reason="astroquery is not installed here")
    for part in name.split("."):
        real = getattr(real, part)
    ours, theirs = ([p for p in inspect.signature(f).parameters if p != "self"] for f in (double, real))
    assert set(ours) <= set(theirs)

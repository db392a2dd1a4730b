"""Call of chandra_repro: level-2 files with the current calibration."""

from dataclasses import dataclass
from pathlib import Path

from pyxt_hpc.chandra.events import read_header
from pyxt_hpc.chandra.keywords import exposure_s, text
from pyxt_hpc.errors import DamagedFile, MissingInput
from pyxt_hpc.files.quoting import listed
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.plans.archive import fits_files
from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call


@dataclass(frozen=True)
class Exposure:
    """The level-1 events to use, with their mode and cycle.

    ``cycle``: exposure of an interleaved observation, ``e1`` or ``e2``; empty for all other observations.
    """

    events: Path
    datamode: str
    cycle: str = ""


@dataclass(frozen=True)
class ReproFiles:
    """Products of chandra_repro for an observation."""

    events: Path
    fov: Path
    badpix: Path
    mask: Path
    aspect: tuple[Path, ...]

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return self.events, self.fov, self.badpix, self.mask, *self.aspect


def choose_exposure(obsid: str, folder: Path) -> Exposure:
    """Level-1 events of an observation; for an interleaved one, the longer of its exposures e1 and e2.

    Raises MissingInput if there are none; DamagedFile if there are several that are not e1 and e2.
    """
    found = fits_files(folder / "secondary", "*evt1.fits*")
    if not found:
        raise MissingInput(f"{folder}/secondary/*evt1.fits: level-1 events not found; download them again")
    headers = {path: read_header(path) for path in found}
    cycles = {path: _cycle(path) for path in found}
    if len(headers) > 1 and sorted(cycles.values()) != ["e1", "e2"]:
        raise DamagedFile(
            f"{folder}/secondary: several level-1 event files: {listed(path.name for path in found)}; if "
            "the observation has several parts (OBI), split it by CIAO's splitobs and take each as an "
            "observation of its own"
        )
    longest = max(headers, key=lambda path: exposure_s(headers[path]) or 0.0)
    cycle = cycles[longest] if len(headers) > 1 else ""
    return Exposure(longest, text(headers[longest], "DATAMODE", "FAINT"), cycle)


def _cycle(path: Path) -> str:
    """``e1`` of ``acisf10551_000N003_e1_evt1.fits`` and ``acisf10551e1_000N003_evt1.fits``."""
    name = path.name
    return next((cycle for cycle in ("e1", "e2") if f"{cycle}_" in name), "")


def repro_call(obsid: str, layout: Layout, exposure: Exposure, *, check_very_faint: bool) -> Call:
    """Reprocess an observation; ``check_very_faint``: screen VFAINT events by the outer pixels of islands."""
    root = f"acisf{int(obsid):05d}"
    made = f"{root}{exposure.cycle}_repro"
    mask = f"*{exposure.cycle}_*msk1.fits" if exposure.cycle else "*msk1.fits"
    folder = layout.observation(obsid)
    return Call(
        tool="chandra_repro",
        parameters={
            "indir": str(folder),
            "outdir": OUT,
            "root": root,
            "check_vf_pha": check_very_faint and exposure.datamode == "VFAINT",
            "set_ardlib": False,  # later calls get their bad pixels as parameters
            "cleanup": True,
            "clobber": True,
            "verbose": 1,
        },
        # The tool replaces compressed files by uncompressed ones; oif.fits stays as it is.
        reads=(folder / "oif.fits",) if (folder / "oif.fits").is_file() else (),
        writes=(f"{made}_evt2.fits", f"{made}_fov1.fits", f"{made}_bpix1.fits", mask, "pcadf*asol1.fits"),
        folder=layout.repro(obsid),
        obsid=obsid,
    )


def find_repro(obsid: str, layout: Layout) -> ReproFiles | None:
    """Products of chandra_repro, run by us or by a person; None if there are none.

    Raises MissingInput if files that belong to the events are missing; DamagedFile if there are several event
    files.
    """
    folder = layout.repro(obsid)
    events = fits_files(folder, "*_repro_evt2.fits*")
    if not events:
        return None
    if len(events) > 1:
        raise DamagedFile(
            f"{folder}: several event files: {listed(path.name for path in events)}; keep one: of "
            "interleaved exposures (e1, e2) the longer one"
        )
    cycle = _cycle(events[0])
    kinds = {}
    for name in ("fov1", "bpix1", "msk1", "asol1"):
        files = [path for path in fits_files(folder, f"*{name}.fits*") if _cycle(path) in ("", cycle)]
        made = [path for path in files if "_repro_" in path.name]
        kinds[name] = made or files
    absent = [name for name, files in kinds.items() if not files]
    if absent:
        raise MissingInput(
            f"{folder}: no {listed(f'*{name}.fits' for name in absent)} beside {events[0].name}; take the "
            "folder away, so that chandra_repro makes it again"
        )
    fov, badpix, mask = (kinds[name][0] for name in ("fov1", "bpix1", "msk1"))
    return ReproFiles(events[0], fov, badpix, mask, tuple(kinds["asol1"]))

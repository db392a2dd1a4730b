"""Comparison of the selections of events, blank sky and header.

Each file may have been filtered before: in energy, sky position, time, chip, grade or status. CIAO writes
such filters into the data subspace; after other software only the events show them. Different energies and
chips are reduced to those that both files have. Different selections in sky position, time or grade are
refused. Stage 1 keeps the findings with its facts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.chandra.keywords import exposure_s, live_time_share, of_chips, text
from pyxt_hpc.chandra.sky.geometry import rows_of
from pyxt_hpc.chandra.subspace import Subspace
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.errors import SelectionMismatch
from pyxt_hpc.files.quoting import listed, shown
from pyxt_hpc.preprocess.checks.coverage import empty_share_of_chip, empty_share_of_time
from pyxt_hpc.preprocess.checks.energies import common_energies
from pyxt_hpc.preprocess.checks.good_events import GOOD_GRADES
from pyxt_hpc.preprocess.checks.rates import unusual_rates

GtiByChip = Mapping[int, NDArray[np.float64]]

_TOLERANCE = 0.01  # relative difference of exposures or times; maps are not more accurate
_MAX_EMPTY_CHIP = 0.03  # fraction of a chip, larger than the area of removed point sources
_MIN_EXPECTED = 20.0  # a grade with as many expected events must have some
_UNCUT = "give the file as chandra_repro or the archive left it (sources.reg and the crop select the sky)"
_UPSETS = "make the file again with dmcopy, which keeps times and header together, or fetch it again"

# Axes of the subspace whose restriction leaves a part of the field empty, and their full ranges.
_POSITION_AXES = {
    **dict.fromkeys(("chipx", "chipy"), (1.0, 1024.0)),
    **dict.fromkeys(("tdetx", "tdety"), (1.0, 8192.0)),
    **dict.fromkeys(("detx", "dety", "x", "y"), (0.5, 8192.5)),
    "node_id": (0.0, 3.0),
}
_AXIS_SLACK = {"node_id": 0.0}
_SLACK_PIXELS = 16.0
# Restrictions of these axes are known. expno: lost frames, which the good times exclude, too; phas, pha and
# others: ranges of all possible values.
_OTHER_KNOWN_AXES = {
    "time", "ccd_id", "energy", "pi", "grade", "status", "expno", "phas", "pha", "pha_ro", "fltgrade",
    "corn_pha",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class CommonSelection:
    """Events and blank sky (or None), cut to the energies that both hold, and warnings.

    ``energies_eV`` (m, 2) are these energies; all energies if neither file was cut.
    """

    events: EventList
    background: EventList | None
    energies_eV: NDArray[np.float64]
    findings: tuple[str, ...]


def compare_selections(
    events: EventList, background: EventList | None, chips: tuple[int, ...], gti: GtiByChip
) -> CommonSelection:
    """Compare the selections of events and blank sky.

    Both must have good grade and status, and lie on the chips in use; the events lie in the good times
    ``gti`` of each chip. Sky positions of the blank sky are not used.

    Raises SelectionMismatch if a part of the sky, of the time or of the grades is missing, or if both hold
    too little of 9.5-12 keV.
    """
    findings: list[str] = []
    check_exposure(events, gti)
    findings += _check_times(events, gti)
    for file in (events, background):
        if file is not None:
            subspace = Subspace.of(file.header).of_chips(chips)
            findings += _check_places(file, subspace, chips, rows_of(events.header))
            _check_grades(file, subspace)
            findings += _other_axes(file, subspace)
    if background is not None:
        _compare_grades(events, background)
    events, background, energies, said = common_energies(events, background, chips)
    findings += said
    findings += unusual_rates(events, background, chips, gti)
    return CommonSelection(events, background, energies, tuple(findings))


def check_exposure(events: EventList, gti: GtiByChip) -> None:
    """Check that EXPOSURE and EXPOSURn are the good times multiplied by DTCOR, the correction for dead time.

    Raises SelectionMismatch if one is too long by more than 1%, or, if DTCOR is given, too short by more than
    1%.
    """
    header, path = events.header, events.path
    dtcor = live_time_share(header)
    share = dtcor or 1.0
    live = {chip: share * gti_arithmetic.ontime(intervals) for chip, intervals in gti.items()}
    named = {"EXPOSURE": (exposure_s(header), min(live.values()), max(live.values()))}
    named |= {
        f"EXPOSUR{chip}": (value, live[chip], live[chip])
        for chip, value in of_chips(header, "EXPOSUR").items()
        if chip in live
    }
    # Frames of interleaved exposures have two lengths.
    exact = dtcor is not None and text(header, "CYCLE", "P") == "P"
    for keyword, (value, shortest, longest) in named.items():
        if value is None:
            continue
        long, short = value > (1 + _TOLERANCE) * longest, exact and value < (1 - _TOLERANCE) * shortest
        if long or short:
            good = (longest if long else shortest) / share
            cause = (
                "the events were cut in time without the header, or the header was summed (dmmerge)"
                if long
                else "the good times are not those of the header"
            )
            dead = f" (x DTCOR {share:.4f} = {good * share:.0f} s)" if dtcor is not None else ""
            raise SelectionMismatch(
                f"{path}: {keyword} is {value:.0f} s, but its good times are {good:.0f} s{dead}: {cause}; "
                f"{_UPSETS}"
            )


def _check_times(events: EventList, gti: GtiByChip) -> Iterator[str]:
    """Check that every chip has events in all of its good time."""
    assert events.time is not None
    for chip, intervals in gti.items():
        share = empty_share_of_time(events.time[events.ccd_id == chip], intervals)
        if share is not None and share > _TOLERANCE:
            raise SelectionMismatch(
                f"{events.path}: {share:.0%} of the good time of CCD {chip} has no event at all: the events "
                f"were cut in time, but the good times (GTI) were not; {_UPSETS}"
            )
        if share:
            yield f"{events.path.name}: {share:.1%} of the good time of CCD {chip} has no event"


def _check_places(
    file: EventList, subspace: Subspace, chips: tuple[int, ...], rows: tuple[int, int] | None
) -> Iterator[str]:
    """Check that a file has the whole area of the chips; the geometry of the chips is checked later."""
    if rows is None:
        return
    cut = [f"{axis} = {shown(t)}" for axis in subspace.axes for t in _place_cuts(subspace, axis, rows)]
    shares: dict[int, float | None] = {}
    if file.chipx is not None and file.chipy is not None and _in_rows(file.chipy, rows):
        for chip in chips:
            on = file.ccd_id == chip
            shares[chip] = empty_share_of_chip(file.chipx[on], file.chipy[on], rows)
    empty = {chip: share for chip, share in shares.items() if share is not None and share > _MAX_EMPTY_CHIP}
    if empty:
        listed = ", ".join(f"{share:.0%} of CCD {chip}" for chip, share in empty.items())
        why = f" (it was selected in {'; '.join(cut)})" if cut else ""
        raise SelectionMismatch(
            f"{file.path}: {listed} has no event at all{why}: exposure would be counted where the file was "
            f"cut; {_UNCUT}"
        )
    if not cut:
        return
    told = shares and all(share is not None for share in shares.values())
    if file.time is not None and not told:
        raise SelectionMismatch(
            f"{file.path}: it was selected in {'; '.join(cut)}, so exposure would be counted where there "
            f"can be no event; {_UNCUT}"
        )
    yield (
        f"{file.path.name}: it was selected in {'; '.join(cut)}: what was cut out and is not in sources.reg "
        "counts as empty sky"
    )


def _in_rows(chipy: NDArray[np.integer], rows: tuple[int, int]) -> bool:
    """Whether FIRSTROW and NROWS are possible; the geometry of the chips is checked later."""
    return (
        len(chipy) > 0 and rows[0] - _SLACK_PIXELS <= chipy.min() and chipy.max() <= rows[1] + _SLACK_PIXELS
    )


def _place_cuts(subspace: Subspace, axis: str, rows: tuple[int, int]) -> Iterator[str]:
    if axis in _POSITION_AXES:
        full = tuple(map(float, rows)) if axis == "chipy" else _POSITION_AXES[axis]
        slack = _AXIS_SLACK.get(axis, _SLACK_PIXELS)
        ranges = subspace.ranges(axis)
        whole = ranges is None or (
            len(ranges) == 1 and ranges[0, 0] <= full[0] + slack and ranges[0, 1] >= full[1] - slack
        )
        if not whole:
            yield ", ".join(subspace.texts(axis))
    elif "(" in axis:  # sky(x,y), chip(chipx,chipy), ...
        yield from (t for t in subspace.texts(axis) if t.replace(" ", "").lower() not in ("", "field()"))


def _check_grades(file: EventList, subspace: Subspace) -> None:
    ranges = subspace.ranges("grade")
    if ranges is None:
        return
    without = [g for g in GOOD_GRADES if not ((ranges[:, 0] <= g) & (g <= ranges[:, 1])).any()]
    if without:
        raise SelectionMismatch(
            f"{file.path}: grades {listed(without)} were left out (data subspace), but ARF and blank sky "
            f"are for grades {listed(GOOD_GRADES)}; make the file again with "
            f"grade={listed(GOOD_GRADES, ',')}"
        )


def _compare_grades(events: EventList, background: EventList) -> None:
    if events.grade is None or background.grade is None or not len(events) or not len(background):
        return
    for one, other in ((events, background), (background, events)):
        assert one.grade is not None
        assert other.grade is not None
        of_one, of_other = (np.array([np.sum(f.grade == g) for g in GOOD_GRADES]) for f in (one, other))
        without = (of_one == 0) & (of_other * (len(one) / len(other)) > _MIN_EXPECTED)
        if without.any():
            raise SelectionMismatch(
                f"{one.path}: no event has grade {listed(np.array(GOOD_GRADES)[without])}, which "
                f"{of_other[without].sum() / len(other):.0%} of {other.path.name} have; select both with "
                f"grade={listed(GOOD_GRADES, ',')}"
            )


def _other_axes(file: EventList, subspace: Subspace) -> Iterator[str]:
    for axis in subspace.axes:
        if axis not in _OTHER_KNOWN_AXES and axis not in _POSITION_AXES and "(" not in axis:
            selected = shown(", ".join(subspace.texts(axis)))
            yield f"{file.path.name}: it was selected in {axis} = {selected}; nothing checks this selection"

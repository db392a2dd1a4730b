"""Region files with proposed regions, which never replace a file that a person has drawn or changed.

A proposed file can be replaced by a new proposal if its checksum shows that nobody has changed it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.coordinates import SkyCoord

from pyxt_hpc.files.writing import check_regular, write_text

if TYPE_CHECKING:  # Stages that only need `is_untouched` then start faster.
    from pyxt_hpc.detect.region_proposals import Proposal, SkyCircle

MARK = "# proposed by pyxt_hpc"
_DS9 = "# Region file format: DS9 version 4.1"


def sources_text(proposal: Proposal) -> str:
    """Text of ``sources.reg``."""
    return _text(_DS9, "fk5", *(_circle_line(source) for source in proposal.sources))


def exclude_text(proposal: Proposal) -> str:
    """Text of ``exclude.reg``."""
    e = proposal.core
    axes = f'{e.semi_major:.2f}",{e.semi_minor:.2f}",{e.angle:.2f}'
    return _text(_DS9, "fk5", f"ellipse({_position(e.ra, e.dec)},{axes})")


def response_text(circle: SkyCircle) -> str:
    """Text of ``acisI_region_0.reg`` of a dataset."""
    return _text(_DS9, "fk5", _circle_line(circle))


def crop_text(proposal: Proposal) -> str:
    """Text of ``master_crop-ciaowcs.reg``."""
    box = proposal.crop
    return _text(_DS9, "fk5", f'box({_position(box.ra, box.dec)},{box.width:.3f}",{box.height:.3f}",0)')


def write_proposals(texts: Mapping[Path, str]) -> list[Path]:
    """Write region files, except over a file that a person has drawn or changed; return those written."""
    written = []
    for path, text in texts.items():
        if not check_regular(path) or (is_untouched(path) and path.read_text(encoding="ascii") != text):
            write_text(path, text)
            written.append(path)
    return written


def is_untouched(path: Path) -> bool:
    """Whether a region file was proposed by this package and has not been changed since."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return len(lines) > 1 and lines[1] == _mark(lines[0], lines[2:])


def _text(form: str, *lines: str) -> str:
    return "\n".join([form, _mark(form, lines), *lines, ""])


def _mark(form: str, lines: tuple[str, ...] | list[str]) -> str:
    digest = hashlib.sha256("\n".join([form, *lines]).encode()).hexdigest()
    return f"{MARK}, checksum {digest[:12]}"


def _position(ra: float, dec: float) -> str:
    return SkyCoord(ra, dec, unit="deg").to_string("hmsdms", sep=":", precision=3).replace(" ", ",")


def _circle_line(circle: SkyCircle) -> str:
    comment = f" # text={{{circle.text}}}" if circle.text else ""
    return f'circle({_position(circle.ra, circle.dec)},{circle.radius:.3f}"){comment}'

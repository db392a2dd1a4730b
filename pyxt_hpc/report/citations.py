"""Papers to cite, as BibTeX: those for every map, and those for the methods used for this one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

_ALWAYS = {
    "Alden2019": "the method: temperature maps of adaptive circles (ClusterPyXT)",
    "Foster2012": "the plasma model, AtomDB 3.0.9",
    "Smith2001": "the plasma model, APEC",
    "Kaastra2017": "the goodness of fits",
    "Astropy2022": "coordinates, tables and FITS files",
}
"""Subjects of the papers by their keys."""

_SHERPA = {"Freeman2001": "the second engine, Sherpa"}
_CIAO = {"Fruscione2006": "preprocessing by CIAO"}
_EMCEE = {"ForemanMackey2013": "the sampler of hydrostatic masses"}


@dataclass(frozen=True)
class Citation:
    """A paper: its key, its subject, and its BibTeX entry."""

    key: str
    what: str
    entry: str


def citations(*, sherpa: bool, ciao: bool, mass: bool) -> Iterator[Citation]:
    """Papers to cite for a cluster."""
    text = (files("pyxt_hpc.report") / "templates" / "citations.bib").read_text(encoding="utf-8")
    entries = {re.findall("{(.+),", entry)[0]: entry for entry in text.rstrip().split("\n\n")}
    for used, papers in ((True, _ALWAYS), (sherpa, _SHERPA), (ciao, _CIAO), (mass, _EMCEE)):
        if used:
            yield from (Citation(key, what, entries[key]) for key, what in papers.items())

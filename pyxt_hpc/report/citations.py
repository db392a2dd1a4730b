"""What to cite, as BibTeX: what every map rests on, and what was used for this one."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Citation:
    """A paper: its key, what it is cited for, and its entry."""

    key: str
    what: str
    entry: str


CLUSTERPYXT = Citation(
    "Alden2019",
    "the method: temperature maps of adaptive circles (ClusterPyXT)",
    """@article{Alden2019,
  author  = {Alden, Brian and Hallman, Eric J. and Rapetti, David and Burns, Jack O. and Datta, Abhirup},
  title   = {The Galaxy Cluster `Pypeline' for {X}-ray Temperature Maps: {ClusterPyXT}},
  journal = {Astronomy and Computing},
  year    = {2019},
  volume  = {27},
  pages   = {147--155},
  doi     = {10.1016/j.ascom.2019.04.001},
  eprint  = {1903.08215},
  archivePrefix = {arXiv}
}""",
)
ATOMDB = Citation(
    "Foster2012",
    "the plasma model, AtomDB 3.0.9",
    """@article{Foster2012,
  author  = {Foster, A. R. and Ji, L. and Smith, R. K. and Brickhouse, N. S.},
  title   = {Updated Atomic Data and Calculations for {X}-Ray Spectroscopy},
  journal = {The Astrophysical Journal},
  year    = {2012},
  volume  = {756},
  pages   = {128},
  doi     = {10.1088/0004-637X/756/2/128}
}""",
)
APEC = Citation(
    "Smith2001",
    "the plasma model, APEC",
    """@article{Smith2001,
  author  = {Smith, Randall K. and Brickhouse, Nancy S. and Liedahl, Duane A. and Raymond, John C.},
  title   = {Collisional Plasma Models with {APEC}/{APED}: Emission-Line Diagnostics of Hydrogen-like and
             Helium-like Ions},
  journal = {The Astrophysical Journal},
  year    = {2001},
  volume  = {556},
  pages   = {L91--L95},
  doi     = {10.1086/322992}
}""",
)
KAASTRA = Citation(
    "Kaastra2017",
    "the goodness of fits",
    """@article{Kaastra2017,
  author  = {Kaastra, J. S.},
  title   = {On the use of {C}-stat in testing models for {X}-ray spectra},
  journal = {Astronomy \\& Astrophysics},
  year    = {2017},
  volume  = {605},
  pages   = {A51},
  doi     = {10.1051/0004-6361/201629319}
}""",
)
ASTROPY = Citation(
    "Astropy2022",
    "coordinates, tables and FITS files",
    """@article{Astropy2022,
  author  = {{Astropy Collaboration} and Price-Whelan, Adrian M. and Lim, Pey Lian and Earl, Nicholas
             and others},
  title   = {The {Astropy} Project: Sustaining and Growing a Community-oriented Open-source Project and the
             Latest Major Release (v5.0) of the Core Package},
  journal = {The Astrophysical Journal},
  year    = {2022},
  volume  = {935},
  pages   = {167},
  doi     = {10.3847/1538-4357/ac7c74},
  eprint  = {2206.14220},
  archivePrefix = {arXiv}
}""",
)
SHERPA = Citation(
    "Freeman2001",
    "the second engine, Sherpa",
    """@inproceedings{Freeman2001,
  author    = {Freeman, Peter and Doe, Stephen and Siemiginowska, Aneta},
  title     = {Sherpa: a mission-independent data analysis application},
  booktitle = {Astronomical Data Analysis},
  editor    = {Starck, Jean-Luc and Murtagh, Fionn D.},
  series    = {SPIE Conference Series},
  year      = {2001},
  volume    = {4477},
  pages     = {76--87},
  doi       = {10.1117/12.447161},
  eprint    = {astro-ph/0108426},
  archivePrefix = {arXiv}
}""",
)
CIAO = Citation(
    "Fruscione2006",
    "preprocessing by CIAO",
    """@inproceedings{Fruscione2006,
  author    = {Fruscione, Antonella and McDowell, Jonathan C. and Allen, Glenn E. and others},
  title     = {{CIAO}: {Chandra}'s data analysis system},
  booktitle = {Observatory Operations: Strategies, Processes, and Systems},
  editor    = {Silva, David R. and Doxsey, Rodger E.},
  series    = {SPIE Conference Series},
  year      = {2006},
  volume    = {6270},
  pages     = {62701V},
  doi       = {10.1117/12.671760}
}""",
)
EMCEE = Citation(
    "ForemanMackey2013",
    "the sampler of hydrostatic masses",
    """@article{ForemanMackey2013,
  author  = {Foreman-Mackey, Daniel and Hogg, David W. and Lang, Dustin and Goodman, Jonathan},
  title   = {emcee: The {MCMC} Hammer},
  journal = {Publications of the Astronomical Society of the Pacific},
  year    = {2013},
  volume  = {125},
  pages   = {306--312},
  doi     = {10.1086/670067},
  eprint  = {1202.3665},
  archivePrefix = {arXiv}
}""",
)


def citations(*, sherpa: bool, ciao: bool, mass: bool) -> Iterator[Citation]:
    """What to cite for a cluster, by what it was made with."""
    yield from (CLUSTERPYXT, ATOMDB, APEC, KAASTRA, ASTROPY)
    if sherpa:
        yield SHERPA
    if ciao:
        yield CIAO
    if mass:
        yield EMCEE

"""Questions to the user for a new configuration, each with a hint where to find the answer."""

from dataclasses import dataclass

from pyxt_hpc.config.cluster import KEYS


@dataclass(frozen=True)
class Question:
    """Question for the value of a key: key, text of the question, and where to find the value."""

    key: str
    asks: str
    found: str

    @property
    def suggestion(self) -> str:
        """Suggested answer; empty if there is none."""
        return KEYS[self.key].suggestion or KEYS[self.key].default or ""

    def problem(self, text: str) -> str:
        """Reason why an answer is invalid; empty if it is valid."""
        try:
            KEYS[self.key].parse(text)
        except ValueError as error:
            return f"it {error}"
        return ""


QUESTIONS = (
    Question(
        "observation_ids",
        "ObsIDs",
        "Search the Chandra archive (https://cda.harvard.edu/chaser) for the cluster's name: instrument "
        "ACIS, grating none, status archived. Separate ObsIDs by commas.",
    ),
    Question(
        "redshift",
        "Redshift",
        "NED (https://ned.ipac.caltech.edu) has it under the cluster's name.",
    ),
    Question(
        "hydrogen_column_density",
        "Hydrogen column [1e22 cm^-2]",
        "HEASARC's nH tool (https://heasarc.gsfc.nasa.gov/cgi-bin/Tools/w3nh/w3nh.pl) with the map HI4PI. "
        "It gives cm^-2: for 3.48e20 write 0.0348.",
    ),
    Question(
        "abundance",
        "Metal abundance [solar]",
        "0.3 is usual for clusters; it stays fixed in the fits unless free_abundance is set.",
    ),
    Question(
        "signal_to_noise_threshold",
        "S/N of every circle",
        "40 or 50 to begin with, which are 1600 or 2500 counts without background. A higher S/N gives "
        "smaller errors and larger circles.",
    ),
)

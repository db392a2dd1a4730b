"""What is installed on this machine and usable, and what each part that is missing prevents."""

from pyxt_hpc.doctor.examine import examine
from pyxt_hpc.doctor.finding import Finding, Verdict

__all__ = ["Finding", "Verdict", "examine"]

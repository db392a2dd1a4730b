"""Check which parts are usable on this machine, and what each missing part prevents."""

from pyxt_hpc.doctor.examine import examine
from pyxt_hpc.doctor.finding import Finding, Verdict

__all__ = ["Finding", "Verdict", "examine"]

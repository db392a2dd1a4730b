"""Supported batch systems."""

from pyxt_hpc.jobs.systems.command_list import CommandList
from pyxt_hpc.jobs.systems.pbs import Pbs
from pyxt_hpc.jobs.systems.slurm import Slurm
from pyxt_hpc.jobs.systems.system import BatchSystem

SYSTEMS: dict[str, BatchSystem] = {system.name: system for system in (Slurm(), Pbs(), CommandList())}
"""Batch systems by name, the value of ``scheduler`` in ``[hpc]`` (`pyxt_hpc.config.hpc.SCHEDULERS`)."""

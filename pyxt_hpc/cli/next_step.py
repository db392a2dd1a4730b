"""The next command, printed at the end of every stage."""

import shlex
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from pyxt_hpc.cli.screen import tell
from pyxt_hpc.pipeline.run import STAGES

FOLLOWING: Mapping[str, str] = dict(pairwise((*STAGES, "report")))
"""The command after a stage."""

_BESIDES = {
    "propose-regions": "check the regions first, and correct them in DS9 if necessary",
    "create-bins": "`pyxt-hpc estimate` shows whether this needs a supercomputer",
}


def tell_next(stage: str, config: Path) -> None:
    """Print the command that follows a stage; nothing follows the report."""
    if stage in FOLLOWING:
        besides = f" ({_BESIDES[stage]})" if stage in _BESIDES else ""
        tell(f"next: pyxt-hpc {FOLLOWING[stage]} -c {shlex.quote(str(config))}{besides}")

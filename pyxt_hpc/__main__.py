"""``python -m pyxt_hpc`` is the command ``pyxt-hpc``."""

import sys

from pyxt_hpc.cli import main

sys.exit(main())

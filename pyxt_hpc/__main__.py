"""Entry point of ``python -m pyxt_hpc`` and of the command ``pyxt-hpc``."""

import os
import sys
from contextlib import nullcontext


def main() -> int:
    """Run one command and return its exit code, also if it is interrupted while modules are loaded."""
    try:
        from pyxt_hpc.parallel.launch import read_launch
        from pyxt_hpc.parallel.signals import end_when_interrupted, interrupted_by_signals

        is_alone = not read_launch(os.environ).may_be_parallel
        if not is_alone:
            end_when_interrupted()
        with interrupted_by_signals() if is_alone else nullcontext():
            from pyxt_hpc import cli

            return cli.main()
    except KeyboardInterrupt:
        print("pyxt-hpc: interrupted before it began: nothing has changed", file=sys.stderr)
        return 75  # errors.EXIT_TRY_AGAIN, which may not be loaded yet


if __name__ == "__main__":
    sys.exit(main())

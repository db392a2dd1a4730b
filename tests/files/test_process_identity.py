"""Information about processes from /proc."""

import subprocess
import sys

from pyxt_hpc.files.process_identity import age_of_ancestor

AGE = "from pyxt_hpc.files.process_identity import age_of_ancestor; print(age_of_ancestor('bash'))"


def test_how_long_an_ancestor_has_run() -> None:
    # `:` keeps the shell from becoming the program.
    script = f'sleep 0.6; "{sys.executable}" -P -c "{AGE}"; :'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert 0.5 < float(done.stdout) < 60.0
    assert age_of_ancestor("no such program") == 0.0

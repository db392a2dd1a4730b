#!/bin/bash
# @MADE_BY@
@DIRECTIVES@
# shellcheck disable=SC2016 # what the user gave is meant literally
set -euo pipefail

job=${PBS_JOBID%%.*}
job=${job//[!A-Za-z0-9]/_}
attempt=${PYXT_ATTEMPT:-1}
task=${PYXT_TASK:-${PBS_ARRAY_INDEX:-1}}

# PBS warns nobody before the end: the script tells itself.
watch_the_clock() {
    (sleep @WARN_AT@ && kill -USR1 $$) &
    local clock=$!
    # shellcheck disable=SC2064 # the clock of now
    trap "kill $clock 2>/dev/null || true" EXIT
}
# One more job of the same script; of an array only this task, hence without the directive.
run_again() {
    cd @LOG_DIR@
    grep -v '^#PBS -J' @SCRIPT@ | qsub -v "PYXT_ATTEMPT=$((attempt + 1)),PYXT_TASK=$task"
}

@BODY@

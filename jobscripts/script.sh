#!/bin/bash
# @MADE_BY@
@DIRECTIVES@
# shellcheck disable=SC2016,SC2034,SC2154 # the user's values are literal; the machinery uses the variables
set -euo pipefail

# time limit of an attempt, time of the warning [s], and largest number of further attempts
limit=@TIME@
warn_at=@WARN_AT@
max_requeues=@MAX_REQUEUES@
@OF_SYSTEM@
# folders, logs, and the table of jobs that `pyxt-hpc status` reads
work_dir=@WORK_DIR@
log_dir=@LOG_DIR@
log_stem=@LOG_STEM@
record=@RECORD@

# the functions `run` and `finish`, with logs, the stop before the time limit and the next attempt
machinery=@MACHINERY@
[ -r "$machinery" ] || { echo "cannot read $machinery: run pyxt-hpc make-job again" >&2; exit 2; }
# shellcheck source=/dev/null
. "$machinery"

@ENVIRONMENT@

@COMMANDS@
finish 0 "done"

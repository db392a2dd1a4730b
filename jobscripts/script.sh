#!/bin/bash
# @MADE_BY@
@DIRECTIVES@
# shellcheck disable=SC2016,SC2034,SC2154 # what the user gave is meant literally; the machinery has the rest
set -euo pipefail

# an attempt: its time limit, when the work is told to stop [s], and how often it is run again
limit=@TIME@
warn_at=@WARN_AT@
max_requeues=@MAX_REQUEUES@
@OF_SYSTEM@
# folders, logs, and the table of jobs that `pyxt-hpc status` reads
work_dir=@WORK_DIR@
log_dir=@LOG_DIR@
log_stem=@LOG_STEM@
record=@RECORD@

# logs, the stop in time and the next attempt, the same for every job; it gives `run` and `finish`
machinery=@MACHINERY@
[ -r "$machinery" ] || { echo "cannot read $machinery: run pyxt-hpc make-job again" >&2; exit 2; }
# shellcheck source=/dev/null
. "$machinery"

@ENVIRONMENT@

@COMMANDS@
finish 0 "done"

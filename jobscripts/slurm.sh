#!/bin/bash
# @MADE_BY@
@DIRECTIVES@
# shellcheck disable=SC2016 # what the user gave is meant literally
set -euo pipefail

# A task of an array is requeued by its two numbers: its own job id can be that of the whole array.
job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID:-}}
job=${job:-$SLURM_JOB_ID}
attempt=$((${SLURM_RESTART_COUNT:-0} + 1))

watch_the_clock() { :; } # --signal above does
# scancel signals the steps, so their exit code may be 75: SLURM would requeue even a cancelled job.
run_again() {
    local state
    state=$(scontrol show job "$job")
    [[ $state == *JobState=RUNNING* || $state == *Reason=TimeLimit* ]] || return 1
    scontrol requeue "$job"
}

@BODY@

# Machinery that job scripts for SLURM source: logs, the stop before the time limit, the next attempt.
# shellcheck shell=bash disable=SC2154,SC2317,SC2329 # the settings are the script's; traps call functions, too
system=slurm

# A task of an array is requeued by both its numbers, since its job id can be that of the whole array.
job=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}
task=${SLURM_ARRAY_TASK_ID:--}
id=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$task}
id=${id:-$job}
name=$id
attempt=$((${SLURM_RESTART_COUNT:-0} + 1))
scontrol=''

# SLURM sends the warning, by --signal above.
prepare() {
    # With its path, since modules may change PATH.
    scontrol=$(command -v scontrol || true)
    if [ -z "$scontrol" ] && [ "$max_requeues" -gt 0 ]; then
        report "there is no scontrol on PATH: this job cannot requeue itself; if it ends with code 75," \
            "submit it again"
    fi
}
state() { timeout 60 "$scontrol" show job "$id"; }
time_is_up() { [[ $(state) == *Reason=TimeLimit* ]]; }
# The job keeps its id, so that there is nothing to queue before its end.
queue_ahead() { :; }
withdraw() { :; }
# scancel signals the steps, so their exit code may be 75: SLURM would requeue even a cancelled job.
run_again() {
    local now
    now=$(state) || return 1
    [[ $now == *JobState=RUNNING* || $now == *Reason=TimeLimit* ]] || return 1
    # Recorded before the request, because SLURM ends this script immediately.
    record_event submitted '' $((attempt + 1))
    timeout 60 "$scontrol" requeue "$id" && return 0
    record_event withdrawn '' $((attempt + 1))
    return 1
}

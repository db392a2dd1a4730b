# Machinery that job scripts for PBS source: logs, the stop before the time limit, the next attempt.
# shellcheck shell=bash disable=SC2154,SC2317,SC2329 # the settings are the script's; traps call functions, too
system=pbs

id=$PBS_JOBID
# Each attempt except a rerun has a new id, and gets the first id in PYXT_JOB.
job=${PYXT_JOB:-${id/\[*\]/[]}}
task=${PYXT_TASK:-${PBS_ARRAY_INDEX:--}}
name=${job%%[!0-9]*}
[ "$task" = - ] || name=${name}_$task
# PBS reruns a job with the same id, without information for the job.
earlier=$(awk -F '\t' -v id="$id" '
    $6 == id && $7 == "started" { n++ }
    END { print n + 0 }' "$record" 2>/dev/null) || earlier=0
attempt=$((${PYXT_ATTEMPT:-1} + earlier))
began=$(date +%s)
pbs_bin=''

# PBS sends no warning before the end, so the script sends it to itself. Time counts from the start of the job, which
# may be long before that of this script. PBS's programs are often not on a job's PATH.
prepare() {
    local folders stime wait
    folders=$PATH:${PBS_EXEC:+$PBS_EXEC/bin:}${PBS_O_PATH:+$PBS_O_PATH:}/opt/pbs/bin
    pbs_bin=$(PATH=$folders type -P qsub) || true
    pbs_bin=${pbs_bin%/*}
    if [ -n "$pbs_bin" ]; then
        stime=$(timeout 60 "$pbs_bin/qstat" -f "$id" 2>/dev/null | sed -n 's/^ *stime = //p') || stime=''
        stime=$(date -d "${stime:-now}" +%s 2>/dev/null) || stime=$began
        # Clocks differ, so impossible times are ignored.
        if [ "$stime" -le "$began" ] && [ $((began - stime)) -lt "$limit" ]; then began=$stime; fi
    elif [ "$max_requeues" -gt 0 ]; then
        report "there is no qsub on this node (looked for on PATH, on PBS_O_PATH and in PBS_EXEC): this job" \
            "cannot submit its next attempt; if it ends with code 75, submit it again"
    fi
    wait=$((began + warn_at - $(date +%s)))
    (sleep $((wait > 0 ? wait : 0)) && kill -USR1 $$) &
    timer=$!
}
time_is_up() { [ $(($(date +%s) - began)) -ge $((limit - slack)) ]; }
# Submit another job of the same script; for an array, only of this task and therefore without the array directive. PBS
# removes the job's TMPDIR at the limit, but qsub needs one.
submit_next() {
    local text variables
    [ -n "$pbs_bin" ] || return 1
    text=$(grep -v '^#PBS -J' "$next_script") || { report "cannot read $next_script"; return 1; }
    variables="PYXT_JOB=$job,PYXT_ATTEMPT=$((attempt + 1))"
    [ "$task" = - ] || variables+=",PYXT_TASK=$task"
    next_id=$(cd "$log_dir" && printf '%s\n' "$text" |
        TMPDIR=/tmp timeout 60 "$pbs_bin/qsub" "$@" -v "$variables") || { next_id=''; report "qsub failed"; return 1; }
    next_id=${next_id##*$'\n'}
    report "attempt $((attempt + 1)) is in the queue as job $next_id"
    record_event submitted '' $((attempt + 1)) "$next_id"
}
# No job can depend on a single task of an array, whose next attempt is therefore submitted at the end.
queue_ahead() {
    [ "$requeue" != qrerun ] && [[ $id != *"["* ]] || return 0
    submit_next -W "depend=afterany:$id"
}
withdraw() { timeout 60 "$pbs_bin/qdel" "$1"; }
run_again() {
    [ -z "$next_id" ] || return 0
    if [ "$requeue" = qrerun ]; then
        [ -n "$pbs_bin" ] || return 1
        record_event submitted '' $((attempt + 1))
        if timeout 60 "$pbs_bin/qrerun" "$id"; then sleep 60; return 0; fi # PBS ends this script
        record_event withdrawn '' $((attempt + 1))
        report "qrerun failed: a new job is submitted instead"
    fi
    submit_next
}
